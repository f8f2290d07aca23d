/* SPDX-License-Identifier: MIT */
/*
 * over_posix.c - the extern port's functions by those of the posix port, which
 * stand in its header: for tests, and to measure what the calls cost, since
 * nothing else differs.
 *
 * A core that was compiled with ports/extern is linked with this and with
 * the sources of ports/posix, which are compiled with their own header, as
 * this one is.
 *
 * First to break: tests/unit/port/test_contract.c, built as build/extern/.
 */
#include "aspen_extern.h"

/* What is inline there gets another name, and the functions theirs. */
#define aspen_port_frame_pointer       posix_frame_pointer
#define aspen_port_spin_trylock        posix_spin_trylock
#define aspen_port_spin_lock           posix_spin_lock
#define aspen_port_spin_unlock         posix_spin_unlock
#define aspen_port_rwlock_init         posix_rwlock_init
#define aspen_port_rwlock_destroy      posix_rwlock_destroy
#define aspen_port_read_trylock        posix_read_trylock
#define aspen_port_read_lock           posix_read_lock
#define aspen_port_read_unlock         posix_read_unlock
#define aspen_port_write_trylock       posix_write_trylock
#define aspen_port_write_lock          posix_write_lock
#define aspen_port_write_lock_killable posix_write_lock_killable
#define aspen_port_write_unlock        posix_write_unlock
#define aspen_port_rcu_read_lock       posix_rcu_read_lock
#define aspen_port_rcu_read_unlock     posix_rcu_read_unlock
#define aspen_port_cpu                 posix_cpu
#define aspen_port_cache_flush         posix_cache_flush
#include "../posix/aspen_port.h"
#undef aspen_port_frame_pointer
#undef aspen_port_spin_trylock
#undef aspen_port_spin_lock
#undef aspen_port_spin_unlock
#undef aspen_port_rwlock_init
#undef aspen_port_rwlock_destroy
#undef aspen_port_read_trylock
#undef aspen_port_read_lock
#undef aspen_port_read_unlock
#undef aspen_port_write_trylock
#undef aspen_port_write_lock
#undef aspen_port_write_lock_killable
#undef aspen_port_write_unlock
#undef aspen_port_rcu_read_lock
#undef aspen_port_rcu_read_unlock
#undef aspen_port_cpu
#undef aspen_port_cache_flush

/* Such a line is what a port in another language compares as well. */
#define SAME(type, name)                                                       \
    _Static_assert(sizeof(type) <= ASPEN_EXTERN_##name##_BYTES &&              \
                       _Alignof(type) <= ASPEN_EXTERN_##name##_ALIGN,          \
                   #type)
SAME(struct aspen_port_spinlock, SPINLOCK);
SAME(struct aspen_port_rwlock, RWLOCK);
SAME(struct aspen_port_rcu_head, RCU_HEAD);
_Static_assert(ASPEN_PORT_CPUS == ASPEN_EXTERN_CPUS, "CPUs");

/* No C file calls these under such a declaration: the core has its header. */
#define EXPORT(type, name, parameters, call)                                   \
    extern type aspen_port_##name parameters;                                  \
    type aspen_port_##name parameters                                          \
    {                                                                          \
        return posix_##name call;                                              \
    }
#define EXPORT_VOID(name, parameters, call)                                    \
    extern void aspen_port_##name parameters;                                  \
    void aspen_port_##name parameters                                          \
    {                                                                          \
        posix_##name call;                                                     \
    }

EXPORT(void *, frame_pointer, (void *direct_map, uint32_t frame),
       (direct_map, frame))
EXPORT(bool, spin_trylock, (struct aspen_port_spinlock * lock), (lock))
EXPORT_VOID(spin_lock, (struct aspen_port_spinlock * lock), (lock))
EXPORT_VOID(spin_unlock, (struct aspen_port_spinlock * lock), (lock))
EXPORT_VOID(rwlock_init, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(rwlock_destroy, (struct aspen_port_rwlock * lock), (lock))
EXPORT(bool, read_trylock, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(read_lock, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(read_unlock, (struct aspen_port_rwlock * lock), (lock))
EXPORT(bool, write_trylock, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(write_lock, (struct aspen_port_rwlock * lock), (lock))
EXPORT(int, write_lock_killable, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(write_unlock, (struct aspen_port_rwlock * lock), (lock))
EXPORT_VOID(rcu_read_lock, (void), ())
EXPORT_VOID(rcu_read_unlock, (void), ())
EXPORT(unsigned, cpu, (void), ())
EXPORT_VOID(cache_flush, (uint32_t root), (root))
