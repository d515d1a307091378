/* The parts of the report's page, as the files hold them. */
	.section .rodata

	.macro PART name, file
	.globl \name, \name\()_end
\name:
	.incbin "\file"
\name\()_end:
	.byte 0
	.endm

	PART tc_report_html, TC_REPORT_HTML
	PART tc_report_css, TC_REPORT_CSS
	PART tc_report_js, TC_REPORT_JS

	.section .note.GNU-stack, "", @progbits
