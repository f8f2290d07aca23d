/* SPDX-License-Identifier: MIT */
/*
 * apic.h - interrupts: of devices, of the timer, from one CPU to others.
 */
#ifndef KERNEL_DEV_APIC_H
#define KERNEL_DEV_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* Reads ACPI's table of CPUs and I/O APICs; fills cpus[].apic_id. */
void apic_init(uint64_t rsdp);
extern unsigned apic_cpus; /* how many CPUs the machine has */

void apic_cpu_init(void); /* of this CPU: timer and local APIC */
void apic_cpu_on(void);   /* the same without a timer */
void apic_end_interrupt(void);
/* A line of the I/O APIC to the first CPU. */
void apic_route(unsigned line, uint8_t vector, bool level);
/* INIT and start-up to one CPU, at a page below 1 MiB. */
void apic_start_cpu(uint8_t apic_id, uint64_t page);

#endif
