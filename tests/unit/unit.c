/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
say_skipped(const char *format, va_list arguments)
{
    printf("skipped: ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
}

void
unit_skip_part(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_skipped(format, arguments);
    va_end(arguments);
}

void
unit_skip(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    say_skipped(format, arguments);
    va_end(arguments);
    skip();
    abort();
}

uintptr_t
unit_run_threads(unsigned count, void *(*body)(void *argument), void *argument)
{
    pthread_t threads[16];
    uintptr_t sum = 0;

    assert_true(count <= 16);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, argument), 0);
    for (unsigned i = 0; i < count; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (uintptr_t)result;
    }
    return sum;
}

bool
unit_panics(void (*body)(void *argument), void *argument)
{
    int status;
    pid_t child;

    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        body(argument);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
