/*
 * imager_sandbox.c - takes everything from the worker that decoding does not need.
 *
 * Limits first (memory, CPU, size of files, no new descriptors, a clock that ends it), then the filter of system calls,
 * which lets through only what libvips and the C library need to compute in threads. It lets no file be opened or
 * looked at, no socket be made, no program be executed, no process be started or signalled, and no page become
 * executable; the descriptors that are there are the result's and the reply's. The image is mapped before.
 *
 * A decoder that was taken over can therefore write a wrong picture and no more, and the server looks at the picture.
 */
#include "media/internal_imager.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* What the sanitizers insert needs files, signals and terabytes of address space: their builds go without. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static scmp_filter_ctx filter;

static bool allow_calls(void)
{
	static const int calls[] = {
		/* memory; mmap and mprotect are below */
		SCMP_SYS(brk),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(madvise),
		/* threads */
		SCMP_SYS(futex),
		SCMP_SYS(set_robust_list),
		SCMP_SYS(rseq),
		SCMP_SYS(sched_yield),
		SCMP_SYS(sched_getaffinity),
		SCMP_SYS(gettid),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(restart_syscall),
		/* time, and what sorting asks of the machine */
		SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday),
		SCMP_SYS(sysinfo),
		SCMP_SYS(getrandom),
		/* the result, and the end */
		SCMP_SYS(write),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) != 0)
			return false;
	return true;
}

static bool allow_some(void)
{
	static const uint64_t forbidden = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
					  CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE | CLONE_UNTRACED;
	const struct scmp_arg_cmp no_exec = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	/* Memory, not files: what is in the result could otherwise be changed after it was looked at. */
	const struct scmp_arg_cmp memory[] = { no_exec, SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS) };
	/* A thread, never a process. The flags are the first argument, on s390 the second. */
#ifdef __s390__
	const struct scmp_arg_cmp thread = SCMP_A1(SCMP_CMP_MASKED_EQ, forbidden | CLONE_THREAD, CLONE_THREAD);
#else
	const struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, forbidden | CLONE_THREAD, CLONE_THREAD);
#endif
	const struct scmp_arg_cmp name = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME);

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, memory) == 0 &&
	       seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &no_exec) == 0 &&
	       seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread) == 0 &&
	       seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &name) == 0 &&
	       /* Its arguments are in memory, where no filter sees them; the C library falls back on clone. */
	       seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

bool sandbox_prepare(char *why, size_t size)
{
	if (SANITIZED)
		return true;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (filter && allow_calls() && allow_some())
		return true;
	(void)snprintf(why, size, "no filter of system calls");
	return false;
}

static bool limit(__rlimit_resource_t what, uint64_t most)
{
	const struct rlimit r = { most, most };

	return setrlimit(what, &r) == 0;
}

/* The address space that this process has, bytes; 0: unknown. */
static uint64_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	char line[64] = "";
	uint64_t pages = 0;

	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f))
		for (const char *p = line; *p >= '0' && *p <= '9'; p++)
			pages = pages * 10 + (uint64_t)(*p - '0');
	(void)fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool sandbox_enter(const struct imager_job *job)
{
	const uint64_t has = address_space();

	(void)alarm(job->wall_s);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !limit(RLIMIT_CORE, 0) || !limit(RLIMIT_CPU, job->time_s) ||
	    !limit(RLIMIT_FSIZE, job->max_out))
		return false;
	if (SANITIZED)
		return true;
	return has > 0 && limit(RLIMIT_AS, has + job->memory) && limit(RLIMIT_NOFILE, 0) && seccomp_load(filter) == 0;
}
