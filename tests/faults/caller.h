/* caller.h - for the preloaded libraries: was this call made by the program itself, not by one of its libraries? They spoil only the program's
 * own calls: with a wrong clock inside librdkafka its waits, which the kernel ends by the true one, would last for hours.
 */
#ifndef S4REC_TESTS_CALLER_H
#define S4REC_TESTS_CALLER_H
#include <link.h>
#include <stdint.h>

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t *range = arg;
	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X)) {
			range[0] = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			range[1] = range[0] + info->dlpi_phdr[i].p_memsz;
		}
	return 1; /* the first one is the program */
}

static int from_program(const void *caller)
{
	static uintptr_t range[2]; /* two threads may both find it: the same values */
	if (!range[1])
		dl_iterate_phdr(find_program, range);
	return (uintptr_t)caller >= range[0] && (uintptr_t)caller < range[1];
}
#endif
