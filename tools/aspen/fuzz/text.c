/* SPDX-License-Identifier: MIT */
/*
 * text.c - a sequence as text: a line for people, and a C program that
 * makes it on a host by itself. Such a program can be read back.
 *
 * The program has no library: it lies where the executor does, and unmaps all
 * else before it begins, so that the kernel picks the addresses it picked for
 * the scratch process.
 *
 * Called by command.c. tests/tools/fuzz.sh compiles one.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[FUZZ_KINDS] = {
    [FUZZ_CALL] = "CALL",   [FUZZ_READ] = "READ",   [FUZZ_WRITE] = "WRITE",
    [FUZZ_FORK] = "FORK",   [FUZZ_EXIT] = "EXIT",   [FUZZ_RESIZE] = "RESIZE",
    [FUZZ_PUNCH] = "PUNCH", [FUZZ_LIMIT] = "LIMIT", [FUZZ_RIGHTS] = "RIGHTS",
};

void
fuzz_text_op(const struct fuzz_op *op, char *text, size_t size)
{
    const uint64_t *a = op->call.arguments;
    const char *name = op->kind == FUZZ_CALL ? linux_call_name(op->call.number)
                                             : kinds[op->kind];

    snprintf(text, size,
             "%u: %s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
             ", %" PRId64 ", %#" PRIx64 ")",
             op->process, name ? name : "?", a[0], a[1], a[2], a[3],
             (int64_t)a[4], a[5]);
}

/* ---- A program ---------------------------------------------------------- */

static const char head[] =
    " *\n"
    " * Compile with: gcc -O1 -static -nostdlib -no-pie -ffreestanding \\\n"
    " *     -fno-stack-protector -Wl,-Ttext-segment=0x10000 -Wl,-z,norelro \\\n"
    " *     -o it THIS.c && setarch -R ./it\n"
    " *\n"
    " * It prints the kernel's answer to each operation, and its mappings at "
    "the\n"
    " * end. `aspen fuzz --replay THIS.c` makes them beside Aspen.\n"
    " */\n"
    "#include <asm/unistd.h>\n"
    "#include <linux/fcntl.h>\n"
    "\n"
    "#ifndef __NR_mseal\n"
    "#define __NR_mseal 462\n"
    "#endif\n"
    "\n"
    "typedef unsigned long u64;\n"
    "enum { CALL, READ, WRITE, FORK, EXIT, RESIZE, PUNCH, LIMIT, RIGHTS };\n"
    "\n"
    "/* who, what, number of the call, arguments */\n"
    "static const struct op {\n"
    "    int process, kind;\n"
    "    long number;\n"
    "    u64 a[6];\n"
    "} ops[] = {\n";

static const char tail[] =
    "};\n"
    "\n"
    "static char text[65536];\n"
    "__attribute__((used, aligned(16))) static char stack[65536];\n"
    "static unsigned char vector[65536];\n"
    "static volatile unsigned *turn;\n"
    "static int channel[2];\n"
    "\n"
    "#ifdef __aarch64__\n"
    "__asm__(\".globl _start; _start: adrp x0, stack + 65472;\"\n"
    "        \"add x0, x0, :lo12:stack + 65472; mov sp, x0; bl start\");\n"
    "\n"
    "static long\n"
    "call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)\n"
    "{\n"
    "    register u64 x0 __asm__(\"x0\") = a, x1 __asm__(\"x1\") = b;\n"
    "    register u64 x2 __asm__(\"x2\") = c, x3 __asm__(\"x3\") = d;\n"
    "    register u64 x4 __asm__(\"x4\") = e, x5 __asm__(\"x5\") = f;\n"
    "    register long x8 __asm__(\"x8\") = n;\n"
    "    __asm__ volatile(\"svc #0\"\n"
    "                     : \"+r\"(x0)\n"
    "                     : \"r\"(x1), \"r\"(x2), \"r\"(x3), \"r\"(x4), "
    "\"r\"(x5), \"r\"(x8)\n"
    "                     : \"memory\");\n"
    "    return (long)x0;\n"
    "}\n"
    "#else\n"
    "__asm__(\".globl _start; _start: lea stack + 65472(%rip), %rsp;\"\n"
    "        \"call start\");\n"
    "\n"
    "static long\n"
    "call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)\n"
    "{\n"
    "    register u64 r10 __asm__(\"r10\") = d;\n"
    "    register u64 r8 __asm__(\"r8\") = e;\n"
    "    register u64 r9 __asm__(\"r9\") = f;\n"
    "    long answer;\n"
    "    __asm__ volatile(\"syscall\"\n"
    "                     : \"=a\"(answer)\n"
    "                     : \"a\"(n), \"D\"(a), \"S\"(b), \"d\"(c), "
    "\"r\"(r10), "
    "\"r\"(r8), \"r\"(r9)\n"
    "                     : \"rcx\", \"r11\", \"memory\");\n"
    "    return answer;\n"
    "}\n"
    "#endif\n"
    "\n"
    "static void\n"
    "put(const char *bytes, long length)\n"
    "{\n"
    "    call(__NR_write, 1, (u64)bytes, (u64)length, 0, 0, 0);\n"
    "}\n"
    "\n"
    "static void\n"
    "put_answer(unsigned step, long answer)\n"
    "{\n"
    "    char line[48], digits[24];\n"
    "    u64 value = answer < 0 && answer > -4096 ? (u64)-answer : "
    "(u64)answer;\n"
    "    unsigned base = value == (u64)answer ? 16 : 10, n = 0, at = 0;\n"
    "    for (unsigned s = 1000; s; s /= 10)\n"
    "        line[at++] = (char)('0' + step / s % 10);\n"
    "    line[at++] = ' ';\n"
    "    if (base == 10)\n"
    "        line[at++] = '-';\n"
    "    do\n"
    "        digits[n++] = \"0123456789abcdef\"[value % base];\n"
    "    while (value /= base);\n"
    "    while (n)\n"
    "        line[at++] = digits[--n];\n"
    "    line[at++] = '\\n';\n"
    "    put(line, at);\n"
    "}\n"
    "\n"
    "static long\n"
    "read_maps(void)\n"
    "{\n"
    "    int file = (int)call(__NR_openat, (u64)AT_FDCWD,\n"
    "                         (u64)\"/proc/self/maps\", 0, 0, 0, 0);\n"
    "    long length = 0, got;\n"
    "    while ((got = call(__NR_read, (u64)file, (u64)text + (u64)length,\n"
    "                       sizeof(text) - 1 - (u64)length, 0, 0, 0)) > 0)\n"
    "        length += got;\n"
    "    call(__NR_close, (u64)file, 0, 0, 0, 0, 0);\n"
    "    text[length] = 0;\n"
    "    return length;\n"
    "}\n"
    "\n"
    "static u64\n"
    "number(const char **at)\n"
    "{\n"
    "    u64 value = 0;\n"
    "    for (; **at != '-' && **at != ' '; ++*at)\n"
    "        value = value * 16 + (u64)(**at > '9' ? **at - 'a' + 10 : **at - "
    "'0');\n"
    "    ++*at;\n"
    "    return value;\n"
    "}\n"
    "\n"
    "/* All but this program, which is below 0x100000. */\n"
    "static void\n"
    "strip(void)\n"
    "{\n"
    "    read_maps();\n"
    "    for (const char *at = text; *at;) {\n"
    "        u64 start = number(&at), end = number(&at);\n"
    "        if (start >= 0x100000 && !(start >> 48))\n"
    "            call(__NR_munmap, start, end - start, 0, 0, 0, 0);\n"
    "        while (*at++ != '\\n')\n"
    "            ;\n"
    "    }\n"
    "}\n"
    "\n"
    "static u64\n"
    "open_file(const char *name, u64 flags)\n"
    "{\n"
    "    return (u64)call(__NR_openat, (u64)AT_FDCWD, (u64)name, flags, 0600, "
    "0, 0);\n"
    "}\n"
    "\n"
    "static void\n"
    "open_files(void)\n"
    "{\n"
    "    static char path[] = \"/proc/self/fd/0\", name[] = \"/tmp\";\n"
    "    static const u64 modes[] = {O_RDWR, O_RDONLY, O_WRONLY};\n"
    "    for (u64 i = 0; i < 2; i++) {\n"
    "        u64 file = i ? open_file(name, O_TMPFILE | O_RDWR)\n"
    "                     : (u64)call(__NR_memfd_create, (u64)name, 0, 0, 0, "
    "0, 0);\n"
    "        call(__NR_ftruncate, file, 24 * 4096, 0, 0, 0, 0);\n"
    "        path[sizeof(path) - 2] = (char)('0' + file);\n"
    "        for (u64 mode = 0; mode < 3; mode++)\n"
    "            call(__NR_dup3, open_file(path, modes[mode]), 200 + 3 * i + "
    "mode,\n"
    "                 0, 0, 0, 0);\n"
    "    }\n"
    "}\n"
    "\n"
    "static long\n"
    "make(const struct op *op, int *me)\n"
    "{\n"
    "    static const u64 limits[] = {9, 3, 8, 2};\n"
    "    const u64 *a = op->a;\n"
    "    unsigned char byte = (unsigned char)a[1];\n"
    "    u64 limit[2];\n"
    "    long answer;\n"
    "    switch (op->kind) {\n"
    "    case CALL:\n"
    "        return call(op->number, a[0], a[1],\n"
    "                    op->number == __NR_mincore ? (u64)vector : a[2], "
    "a[3], a[4], "
    "a[5]);\n"
    "    case READ:\n"
    "        answer = call(__NR_write, (u64)channel[1], a[0], 1, 0, 0, 0);\n"
    "        if (answer == 1)\n"
    "            call(__NR_read, (u64)channel[0], (u64)&byte, 1, 0, 0, 0);\n"
    "        return answer == 1 ? byte : answer;\n"
    "    case WRITE:\n"
    "        call(__NR_write, (u64)channel[1], (u64)&byte, 1, 0, 0, 0);\n"
    "        answer = call(__NR_read, (u64)channel[0], a[0], 1, 0, 0, 0);\n"
    "        if (answer != 1)\n"
    "            call(__NR_read, (u64)channel[0], (u64)&byte, 1, 0, 0, 0);\n"
    "        return answer == 1 ? byte : answer;\n"
    "    case FORK:\n"
    "        answer = call(__NR_clone, 17, 0, 0, 0, 0, 0);\n"
    "        if (answer == 0)\n"
    "            *me = (int)a[0];\n"
    "        return answer > 0 ? 0 : answer;\n"
    "    case RESIZE:\n"
    "        return call(__NR_ftruncate, 200 + 3 * a[0], a[1], 0, 0, 0, 0);\n"
    "    case PUNCH:\n"
    "        return call(__NR_fallocate, 200 + 3 * a[0], 3, a[1], a[2], 0, "
    "0);\n"
    "    case LIMIT:\n"
    "        call(__NR_prlimit64, 0, limits[a[0]], 0, (u64)limit, 0, 0);\n"
    "        limit[0] = a[1];\n"
    "        return call(__NR_prlimit64, 0, limits[a[0]], (u64)limit, 0, 0, "
    "0);\n"
    "    case RIGHTS:\n"
    "#ifdef __x86_64__\n"
    "        __asm__ volatile(\"wrpkru\" : : \"a\"(a[0]), \"c\"(0), "
    "\"d\"(0));\n"
    "#endif\n"
    "        return (long)a[0];\n"
    "    }\n"
    "    return 0;\n"
    "}\n"
    "\n"
    "__attribute__((used)) static void\n"
    "start(void)\n"
    "{\n"
    "    static u64 space[2] = {32 << 20, ~0ul};\n"
    "    unsigned count = sizeof(ops) / sizeof(ops[0]);\n"
    "    int me = 0;\n"
    "    open_files();\n"
    "    call(__NR_pipe2, (u64)channel, 0, 0, 0, 0, 0);\n"
    "    call(__NR_prctl, 41, 1, 0, 0, 0, 0); /* no huge pages */\n"
    "    strip();\n"
    "    turn = (void *)call(__NR_mmap, 0x200000, 4096, 3, 0x31, ~0ul, 0);\n"
    "    call(__NR_prlimit64, 0, 9, (u64)space, 0, 0, 0);\n"
    "    for (unsigned i = 0; i < count; i++) {\n"
    "        while (*turn < i)\n"
    "            call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);\n"
    "        if (*turn != i || ops[i].process != me)\n"
    "            continue;\n"
    "        int before = me;\n"
    "        long answer = make(&ops[i], &me);\n"
    "        if (me != before)\n"
    "            continue;\n"
    "        put_answer(i, answer);\n"
    "        *turn = i + 1;\n"
    "        if (ops[i].kind == EXIT)\n"
    "            call(__NR_exit_group, 0, 0, 0, 0, 0, 0);\n"
    "    }\n"
    "    while (*turn < count)\n"
    "        call(__NR_sched_yield, 0, 0, 0, 0, 0, 0);\n"
    "    if (me == 0)\n"
    "        put(text, read_maps());\n"
    "    call(__NR_exit_group, 0, 0, 0, 0, 0, 0);\n"
    "}\n";

void
fuzz_text_write(FILE *to, const struct fuzz_sequence *sequence,
                const char *title, const char *what)
{
    char text[200];

    fprintf(to, "/*\n * %s\n * %s\n%s", title, what, head);
    for (size_t i = 0; i < sequence->count; i++) {
        const struct fuzz_op *op = &sequence->ops[i];
        const uint64_t *a = op->call.arguments;

        fuzz_text_op(op, text, sizeof(text));
        const char *name =
            op->kind == FUZZ_CALL ? linux_call_name(op->call.number) : NULL;
        fprintf(to,
                "    {%u, %s, %s%s, {%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
                ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 "}}, /* %s */\n",
                op->process, kinds[op->kind], name ? "__NR_" : "0",
                name ? name : "", a[0], a[1], a[2], a[3], a[4], a[5], text);
    }
    fputs(tail, to);
}

/* ---- Read back ---------------------------------------------------------- */

/* Of __NR_mmap, or what an older program says: 9, on its own processor. */
static uint64_t
number_of(const char *name)
{
    return strncmp(name, "__NR_", 5) == 0 ? linux_call_number(name + 5)
                                          : strtoull(name, NULL, 10);
}

/* A line of the table, as far as it goes. */
static bool
begins_op(const char *line)
{
    unsigned process;

    return sscanf(line, " {%u,", &process) == 1;
}

/* False: it is none. */
static bool
parse_op(const char *line, struct fuzz_op *op)
{
    uint64_t *a = op->call.arguments;
    char kind[16], name[32];

    if (sscanf(line,
               " {%u, %15[A-Z], %31[a-z0-9_NR], {%" SCNx64 ", %" SCNx64
               ", %" SCNx64 ", %" SCNx64 ", %" SCNx64 ", %" SCNx64 "}}",
               &op->process, kind, name, &a[0], &a[1], &a[2], &a[3], &a[4],
               &a[5]) != 9)
        return false;
    op->call.number = number_of(name);
    for (unsigned i = 0; i < FUZZ_KINDS; i++)
        if (strcmp(kind, kinds[i]) == 0) {
            op->kind = (enum fuzz_kind)i;
            return true;
        }
    return false;
}

/* The table's lines are among those of a C program. */
static int
take_line(const char *line, struct fuzz_sequence *sequence,
          struct tool_error *error)
{
    struct fuzz_op op;

    if (!begins_op(line))
        return 0;
    if (!parse_op(line, &op))
        return tool_fail(error, "this is no operation");
    if (op.kind == FUZZ_CALL && !linux_call_name(op.call.number))
        return tool_fail(error, "call %" PRIu64 " is not modelled",
                         op.call.number);
    if (op.process >= FUZZ_PROCESSES)
        return tool_fail(error, "there are processes 0 to %u",
                         FUZZ_PROCESSES - 1);
    return fuzz_sequence_add(sequence, &op) ? 0 : tool_fail(error, "no memory");
}

int
fuzz_text_read(FILE *from, const char *path, struct fuzz_sequence *sequence,
               struct tool_error *error)
{
    struct tool_error reason;
    char line[512];
    unsigned number = 0;

    while (fgets(line, sizeof(line), from)) {
        number++;
        if (*line == '\0') /* and so may all the rest be, without an end */
            return tool_fail(error, "%s is no text", path);
        if (take_line(line, sequence, &reason) != 0)
            return tool_fail(error, "%s, line %u: %s", path, number,
                             reason.text);
    }
    if (ferror(from))
        return tool_fail(error, "cannot read %s: %s", path, strerror(errno));
    return sequence->count ? 0
                           : tool_fail(error, "no operation is in %s", path);
}
