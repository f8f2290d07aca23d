/* SPDX-License-Identifier: MIT */
/*
 * fuzz_text.c - a sequence as text: a line for people, and a C program that
 * makes it on a host by itself. Such a program can be read back.
 *
 * The program has no library: it lies where the executor does, and unmaps all
 * else before it begins, so that the kernel picks the addresses it picked for
 * the scratch process.
 *
 * Called by fuzz.c. tests/tools/fuzz.sh compiles one.
 */
#define _GNU_SOURCE
#include "fuzz_session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const char *const kinds[FUZZ_KINDS] = {
    [FUZZ_CALL] = "CALL",   [FUZZ_READ] = "READ",   [FUZZ_WRITE] = "WRITE",
    [FUZZ_FORK] = "FORK",   [FUZZ_EXIT] = "EXIT",   [FUZZ_RESIZE] = "RESIZE",
    [FUZZ_PUNCH] = "PUNCH", [FUZZ_LIMIT] = "LIMIT",
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
    "typedef unsigned long u64;\n"
    "enum { CALL, READ, WRITE, FORK, EXIT, RESIZE, PUNCH, LIMIT };\n"
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
    "static char text[65536], stack[65536] __attribute__((aligned(16)));\n"
    "static unsigned char vector[65536];\n"
    "static volatile unsigned *turn;\n"
    "static int channel[2];\n"
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
    "\n"
    "static void\n"
    "put(const char *bytes, long length)\n"
    "{\n"
    "    call(1, 1, (u64)bytes, (u64)length, 0, 0, 0);\n"
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
    "    int file = (int)call(2, (u64)\"/proc/self/maps\", 0, 0, 0, 0, 0);\n"
    "    long length = 0, got;\n"
    "    while ((got = call(0, (u64)file, (u64)text + (u64)length,\n"
    "                       sizeof(text) - 1 - (u64)length, 0, 0, 0)) > 0)\n"
    "        length += got;\n"
    "    call(3, (u64)file, 0, 0, 0, 0, 0);\n"
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
    "        if (start >= 0x100000 && !(start >> 47))\n"
    "            call(11, start, end - start, 0, 0, 0, 0);\n"
    "        while (*at++ != '\\n')\n"
    "            ;\n"
    "    }\n"
    "}\n"
    "\n"
    "static void\n"
    "open_files(void)\n"
    "{\n"
    "    static char path[] = \"/proc/self/fd/0\", name[] = \"/tmp\";\n"
    "    for (int i = 0; i < 2; i++) {\n"
    "        int file = i ? (int)call(2, (u64)name, 020200002, 0600, 0, 0, 0)\n"
    "                     : (int)call(319, (u64)name, 0, 0, 0, 0, 0);\n"
    "        call(77, (u64)file, 24 * 4096, 0, 0, 0, 0);\n"
    "        path[sizeof(path) - 2] = (char)('0' + file);\n"
    "        for (int mode = 0; mode < 3; mode++)\n"
    "            call(33,\n"
    "                 (u64)call(2, (u64)path, mode == 0 ? 2 : mode == 1 ? 0 : "
    "1, 0,\n"
    "                           0, 0, 0),\n"
    "                 (u64)(200 + 3 * i + mode), 0, 0, 0, 0);\n"
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
    "                    op->number == 27 ? (u64)vector : a[2], a[3], a[4], "
    "a[5]);\n"
    "    case READ:\n"
    "        answer = call(1, (u64)channel[1], a[0], 1, 0, 0, 0);\n"
    "        if (answer == 1)\n"
    "            call(0, (u64)channel[0], (u64)&byte, 1, 0, 0, 0);\n"
    "        return answer == 1 ? byte : answer;\n"
    "    case WRITE:\n"
    "        call(1, (u64)channel[1], (u64)&byte, 1, 0, 0, 0);\n"
    "        answer = call(0, (u64)channel[0], a[0], 1, 0, 0, 0);\n"
    "        if (answer != 1)\n"
    "            call(0, (u64)channel[0], (u64)&byte, 1, 0, 0, 0);\n"
    "        return answer == 1 ? byte : answer;\n"
    "    case FORK:\n"
    "        answer = call(56, 17, 0, 0, 0, 0, 0);\n"
    "        if (answer == 0)\n"
    "            *me = (int)a[0];\n"
    "        return answer > 0 ? 0 : answer;\n"
    "    case RESIZE:\n"
    "        return call(77, 200 + 3 * a[0], a[1], 0, 0, 0, 0);\n"
    "    case PUNCH:\n"
    "        return call(285, 200 + 3 * a[0], 3, a[1], a[2], 0, 0);\n"
    "    case LIMIT:\n"
    "        call(302, 0, limits[a[0]], 0, (u64)limit, 0, 0);\n"
    "        limit[0] = a[1];\n"
    "        return call(302, 0, limits[a[0]], (u64)limit, 0, 0, 0);\n"
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
    "    call(293, (u64)channel, 0, 0, 0, 0, 0);\n"
    "    call(157, 41, 1, 0, 0, 0, 0); /* no huge pages */\n"
    "    strip();\n"
    "    turn = (void *)call(9, 0x200000, 4096, 3, 0x31, ~0ul, 0);\n"
    "    call(302, 0, 9, (u64)space, 0, 0, 0);\n"
    "    for (unsigned i = 0; i < count; i++) {\n"
    "        while (*turn < i)\n"
    "            call(24, 0, 0, 0, 0, 0, 0);\n"
    "        if (*turn != i || ops[i].process != me)\n"
    "            continue;\n"
    "        int before = me;\n"
    "        long answer = make(&ops[i], &me);\n"
    "        if (me != before)\n"
    "            continue;\n"
    "        put_answer(i, answer);\n"
    "        *turn = i + 1;\n"
    "        if (ops[i].kind == EXIT)\n"
    "            call(231, 0, 0, 0, 0, 0, 0);\n"
    "    }\n"
    "    while (*turn < count)\n"
    "        call(24, 0, 0, 0, 0, 0, 0);\n"
    "    if (me == 0)\n"
    "        put(text, read_maps());\n"
    "    call(231, 0, 0, 0, 0, 0, 0);\n"
    "}\n"
    "\n"
    "__attribute__((naked, noreturn)) void\n"
    "_start(void)\n"
    "{\n"
    "    __asm__(\"lea %0, %%rsp; call start\" : : \"m\"(stack[65536 - 64]));\n"
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
        fprintf(to,
                "    {%u, %s, %" PRIu64 ", {%#" PRIx64 ", %#" PRIx64
                ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
                "}}, /* %s */\n",
                op->process, kinds[op->kind], op->call.number, a[0], a[1], a[2],
                a[3], a[4], a[5], text);
    }
    fputs(tail, to);
}

/* ---- Read back ---------------------------------------------------------- */

/* A line of the table. False: it is none. */
static bool
parse_op(const char *line, struct fuzz_op *op)
{
    uint64_t *a = op->call.arguments;
    char kind[16];

    if (sscanf(line,
               " {%u, %15[A-Z], %" SCNu64 ", {%" SCNx64 ", %" SCNx64
               ", %" SCNx64 ", %" SCNx64 ", %" SCNx64 ", %" SCNx64 "}}",
               &op->process, kind, &op->call.number, &a[0], &a[1], &a[2], &a[3],
               &a[4], &a[5]) != 9)
        return false;
    for (unsigned i = 0; i < FUZZ_KINDS; i++)
        if (strcmp(kind, kinds[i]) == 0) {
            op->kind = (enum fuzz_kind)i;
            return true;
        }
    return false;
}

int
fuzz_text_read(FILE *from, struct fuzz_sequence *sequence,
               struct tool_error *error)
{
    struct fuzz_op op;
    char line[512];

    while (fgets(line, sizeof(line), from)) {
        if (!parse_op(line, &op))
            continue;
        if (op.kind == FUZZ_CALL && !linux_call_name(op.call.number))
            return tool_fail(error, "call %" PRIu64 " is not modelled",
                             op.call.number);
        if (!fuzz_sequence_add(sequence, &op))
            return tool_fail(error, "no memory");
    }
    if (ferror(from))
        return tool_fail(error, "%s", strerror(errno));
    return sequence->count ? 0 : tool_fail(error, "no operation in there");
}
