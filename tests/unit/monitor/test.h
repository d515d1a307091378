/* What cmocka wants included, in its order. */
#ifndef RINGFENCE_TESTS_UNIT_MONITOR_TEST_H
#define RINGFENCE_TESTS_UNIT_MONITOR_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#endif
