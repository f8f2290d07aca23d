/* SPDX-License-Identifier: MIT */
/*
 * apic.c - local APICs, the I/O APIC, and where ACPI says that they are.
 */
#include "cpu/cpu.h"
#include "dev/apic.h"

#include "cpu/trap.h"
#include "dev/clock.h"
#include "lib/lib.h"

#define APIC_EOI        0x0b0u
#define APIC_SPURIOUS   0x0f0u
#define APIC_COMMAND    0x300u
#define APIC_COMMAND_TO 0x310u
#define APIC_TIMER      0x320u
#define APIC_INITIAL    0x380u
#define APIC_CURRENT    0x390u
#define APIC_DIVIDE     0x3e0u

#define TIMER_PERIODIC 0x20000u
#define COMMAND_INIT   0x4500u
#define COMMAND_START  0x4600u
#define COMMAND_FIXED  0x4000u
#define COMMAND_BUSY   0x1000u
#define TICKS_A_SECOND 100u

struct acpi_header {
    char signature[4];
    uint32_t length;
    uint8_t unused[28];
} __attribute__((packed));

struct acpi_madt {
    struct acpi_header header;
    uint32_t local_apic;
    uint32_t flags;
    uint8_t entries[];
} __attribute__((packed));

unsigned apic_cpus;
static uint64_t local_apic = 0xfee00000;
static uint64_t io_apic = 0xfec00000;
static uint32_t timer_count; /* of a tick */

static uint32_t
apic_read(uint32_t reg)
{
    return *(volatile uint32_t *)direct_pointer(local_apic + reg);
}

static void
apic_write(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)direct_pointer(local_apic + reg) = value;
}

/* ---- ACPI -------------------------------------------------------------- */

static const struct acpi_madt *
find_madt(uint64_t rsdp)
{
    const char *root = direct_pointer(rsdp);
    uint32_t rsdt_address;

    memcpy(&rsdt_address, root + 16, sizeof(rsdt_address));
    const struct acpi_header *rsdt = direct_pointer(rsdt_address);
    for (uint32_t at = sizeof(*rsdt); at + 4 <= rsdt->length; at += 4) {
        uint32_t address;
        memcpy(&address, (const char *)rsdt + at, sizeof(address));
        const struct acpi_header *table = direct_pointer(address);
        if (memcmp(table->signature, "APIC", 4) == 0)
            return (const struct acpi_madt *)table;
    }
    return NULL;
}

void
apic_init(uint64_t rsdp)
{
    const struct acpi_madt *madt = rsdp ? find_madt(rsdp) : NULL;
    uint32_t at = sizeof(struct acpi_madt), io;

    out8(0x21, 0xff); /* the old interrupt controllers say nothing */
    out8(0xa1, 0xff);
    if (!madt) {
        apic_cpus = 1;
        return;
    }
    local_apic = madt->local_apic;
    while (at < madt->header.length) {
        const uint8_t *entry = (const uint8_t *)madt + at;
        if (entry[0] == 0 && entry[4] & 1 && apic_cpus < CPUS_MAX)
            cpus[apic_cpus++].apic_id = entry[3];
        if (entry[0] == 1) {
            memcpy(&io, entry + 4, sizeof(io));
            io_apic = io;
        }
        at += entry[1];
    }
}

/* ---- Local APIC -------------------------------------------------------- */

static void
calibrate(void)
{
    apic_write(APIC_INITIAL, UINT32_MAX);
    clock_wait_pit(10);
    timer_count = (UINT32_MAX - apic_read(APIC_CURRENT)) * 100 / TICKS_A_SECOND;
}

void
apic_cpu_on(void)
{
    write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | 0x800);
    apic_write(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
}

void
apic_cpu_init(void)
{
    apic_cpu_on();
    apic_write(APIC_DIVIDE, 0x3); /* by 16 */
    if (!timer_count)
        calibrate();
    apic_write(APIC_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
    apic_write(APIC_INITIAL, timer_count);
}

void
apic_end_interrupt(void)
{
    apic_write(APIC_EOI, 0);
}

/* Two writes that no interrupt of this CPU may come between. */
static void
command(uint8_t apic_id, uint32_t value)
{
    bool on = interrupts_are_on();

    interrupts_off();
    while (apic_read(APIC_COMMAND) & COMMAND_BUSY)
        __asm__ volatile("pause");
    apic_write(APIC_COMMAND_TO, (uint32_t)apic_id << 24);
    apic_write(APIC_COMMAND, value);
    if (on)
        interrupts_on();
}

void
aspen_kernel_kick(uint64_t mask)
{
    for (unsigned i = 0; i < cpus_online; i++)
        if (mask >> i & 1)
            command(cpus[i].apic_id, COMMAND_FIXED | VECTOR_KICK);
}

void
apic_start_cpu(uint8_t apic_id, uint64_t page)
{
    command(apic_id, COMMAND_INIT);
    clock_wait_pit(10);
    command(apic_id, COMMAND_START | (uint32_t)(page >> 12));
    clock_wait_pit(1);
    command(apic_id, COMMAND_START | (uint32_t)(page >> 12));
}

/* ---- I/O APIC ---------------------------------------------------------- */

static void
io_apic_write(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)direct_pointer(io_apic) = reg;
    *(volatile uint32_t *)direct_pointer(io_apic + 0x10) = value;
}

void
apic_route(unsigned line, uint8_t vector, bool level)
{
    io_apic_write(0x11 + line * 2, (uint32_t)cpus[0].apic_id << 24);
    io_apic_write(0x10 + line * 2, vector | (level ? 0x8000u : 0));
}
