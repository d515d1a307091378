/* A shell script that starts a program, and a pipe of two, over and over: 60 forks and execs. */
#include "../bench.h"
#include "../system.h"

uint32_t benchmark_unit(void)
{
	static int ready;
	if (!ready++) {
		one_processor();
		temporary_directory();
	}
	must(-!!run_script("i=0 s=0\n"
			 "while [ $i -lt 20 ]; do\n"
			 "	\"$0\" true && s=$((s + $(\"$0\" printf '%d\\n' $i | \"$0\" wc -c)))\n"
			 "	i=$((i + 1))\n"
			 "done\n"
			 "echo $s >sum\n"),
	     "the script");
	return hash_file("sum");
}
