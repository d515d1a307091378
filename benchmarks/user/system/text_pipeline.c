/* sort | awk | gzip | sha256sum over 16,000 lines of text: four processes, three pipes, mostly user code. */
#include "../bench.h"
#include "../system.h"

static void write_text(void)
{
	enum { LINES = 16000 };
	static char text[LINES * 24];
	static const char *const words[] = {"ring", "fence", "guest", "host", "page", "table", "window", "block"};
	uint32_t seed = 1, length = 0;
	for (uint32_t i = 0; i < LINES; i++) {
		for (uint32_t field = 0; field < 2; field++) {
			for (const char *w = words[random_next(&seed) % 8]; *w; w++)
				text[length++] = *w;
			text[length++] = ' ';
		}
		for (uint32_t n = random_next(&seed) % 100000 + 1; n; n /= 10)
			text[length++] = (char)('0' + n % 10);
		text[length++] = '\n';
	}
	write_file("text", text, length);
}

uint32_t benchmark_unit(void)
{
	static int ready;
	if (!ready++) {
		one_processor();
		temporary_directory();
		write_text();
	}
	must(-!!run_script("\"$0\" sort text | \"$0\" awk '{ n[$1 $2] += $3; print NR, $2, n[$1 $2] % 1000 }' | "
			 "\"$0\" gzip -c | \"$0\" sha256sum >sum"),
	     "the pipeline");
	return hash_file("sum");
}
