/* SPDX-License-Identifier: MIT */
/*
 * pipes.c - who writes to a pipe and goes at once: what he wrote is read, and
 * whoever opens the other end of a named one is not left waiting for him.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 50000

static pthread_barrier_t barrier;
static int write_end;
static unsigned delay; /* of the writer, in turns of a loop */

static void
wait_a_little(void)
{
    for (volatile unsigned i = 0; i < delay; i++)
        ;
}

static void *
write_and_go(void *named)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        wait_a_little();
        int fd = named ? open("fifo", O_WRONLY) : write_end;
        if (fd < 0 || write(fd, "six...", 6) != 6)
            abort();
        close(fd);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static int
read_all(int fd)
{
    char buffer[64];
    int total = 0;
    ssize_t part;

    while ((part = read(fd, buffer, sizeof(buffer))) > 0)
        total += (int)part;
    close(fd);
    return part < 0 ? -1 : total;
}

/* How many rounds lost something. */
static int
run(const char *named)
{
    pthread_t writer;
    int lost = 0, ends[2];

    pthread_create(&writer, NULL, write_and_go, (void *)named);
    for (int i = 0; i < ROUNDS; i++) {
        delay = (unsigned)i * 7 % 2000;
        if (!named && pipe(ends))
            abort();
        write_end = ends[1];
        pthread_barrier_wait(&barrier);
        if (named && (ends[0] = open("fifo", O_RDONLY)) < 0)
            abort();
        lost += read_all(ends[0]) != 6;
        pthread_barrier_wait(&barrier);
    }
    pthread_join(writer, NULL);
    return lost;
}

int
main(void)
{
    int lost, lost_named;

    pthread_barrier_init(&barrier, NULL, 2);
    lost = run(NULL);
    if (mkfifo("fifo", 0600))
        abort();
    lost_named = run("fifo");
    unlink("fifo");
    printf("lost: %d of a pipe, %d of one with a name\n", lost, lost_named);
    return lost || lost_named;
}
