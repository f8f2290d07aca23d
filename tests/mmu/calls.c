/* SPDX-License-Identifier: MIT */
/* calls.c - calls that have nothing beside them but the processor (beside.h).
 */
#include "beside.h"

#include "between.h"

CALL(aspen_brk, (struct aspen_mm * mm, uint64_t brk, uint64_t *now),
     (mm, brk, now))
CALL(aspen_read_memory,
     (struct aspen_mm * mm, uint64_t address, void *bytes,
      uint64_t length_bytes, unsigned flags, uint64_t *done),
     (mm, address, bytes, length_bytes, flags, done))
CALL(aspen_write_memory,
     (struct aspen_mm * mm, uint64_t address, const void *bytes,
      uint64_t length_bytes, unsigned flags, uint64_t *done),
     (mm, address, bytes, length_bytes, flags, done))
CALL(aspen_futex_load,
     (struct aspen_mm * mm, uint64_t address, uint32_t *value),
     (mm, address, value))
CALL(aspen_futex_add,
     (struct aspen_mm * mm, uint64_t address, uint32_t addend,
      uint32_t *before),
     (mm, address, addend, before))
CALL(aspen_futex_compare_exchange,
     (struct aspen_mm * mm, uint64_t address, uint32_t expected,
      uint32_t desired, uint32_t *before),
     (mm, address, expected, desired, before))
CALL(aspen_futex_key_get,
     (struct aspen_mm * mm, uint64_t address, unsigned flags,
      struct aspen_futex_key *key),
     (mm, address, flags, key))
CALL(aspen_populate,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned access, uint64_t *done),
     (mm, address, length_bytes, access, done))
CALL(aspen_fault, (struct aspen_mm * mm, uint64_t address, unsigned access),
     (mm, address, access))
CALL(aspen_fault_with_rights,
     (struct aspen_mm * mm, uint64_t address, unsigned access, uint32_t rights),
     (mm, address, access, rights))
CALL(aspen_import_vma,
     (struct aspen_mm * mm, const struct aspen_import_vma *vma), (mm, vma))
CALL(aspen_import_pages,
     (struct aspen_mm * mm, const struct aspen_import_pages *pages,
      uint64_t *done),
     (mm, pages, done))
CALL(aspen_mlock,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags),
     (mm, address, length_bytes, flags))
CALL(aspen_munlock,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes),
     (mm, address, length_bytes))
CALL(aspen_mlockall, (struct aspen_mm * mm, unsigned flags), (mm, flags))
CALL(aspen_munlockall, (struct aspen_mm * mm), (mm))
CALL(aspen_process_madvise,
     (struct aspen_mm * mm, const struct aspen_advise_range *ranges,
      unsigned count, enum aspen_advice advice, unsigned flags, uint64_t *done),
     (mm, ranges, count, advice, flags, done))
CALL(aspen_minherit,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      enum aspen_inherit inherit),
     (mm, address, length_bytes, inherit))
CALL(aspen_swap_remove, (struct aspen * aspen, unsigned type), (aspen, type))
CALL(aspen_group_create,
     (struct aspen * aspen, struct aspen_group *parent,
      struct aspen_group **group),
     (aspen, parent, group))
CALL(aspen_group_limit_set,
     (struct aspen_group * group, enum aspen_group_limit limit, uint64_t pages),
     (group, limit, pages))
CALL(aspen_name_anon,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      const char *name),
     (mm, address, length_bytes, name))
CALL_VOID(aspen_object_put, (struct aspen_object * object), (object))

CALL(aspen_object_resize, (struct aspen_object * object, uint64_t size_bytes),
     (object, size_bytes))
CALL(aspen_object_punch,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes),
     (object, offset_bytes, length_bytes))
CALL(aspen_object_sync,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes),
     (object, offset_bytes, length_bytes))
CALL(aspen_object_drop,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes, uint64_t *pages),
     (object, offset_bytes, length_bytes, pages))
CALL(aspen_object_read,
     (struct aspen_object * object, uint64_t offset_bytes, void *bytes,
      uint64_t length_bytes, uint64_t *done),
     (object, offset_bytes, bytes, length_bytes, done))
CALL(aspen_object_write,
     (struct aspen_object * object, uint64_t offset_bytes, const void *bytes,
      uint64_t length_bytes, uint64_t *done),
     (object, offset_bytes, bytes, length_bytes, done))
CALL(aspen_object_unmap,
     (struct aspen_object * object, uint64_t offset_bytes,
      uint64_t length_bytes, unsigned flags),
     (object, offset_bytes, length_bytes, flags))
CALL(aspen_pin_range,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags, uint32_t *frames),
     (mm, address, length_bytes, flags, frames))
CALL(aspen_unpin,
     (struct aspen_mm * mm, const uint32_t *frames, uint64_t pages,
      unsigned flags),
     (mm, frames, pages, flags))
CALL(aspen_pkey_free, (struct aspen_mm * mm, int pkey), (mm, pkey))
CALL(aspen_insert_raw,
     (struct aspen_mm * mm, uint64_t address, uint64_t number, unsigned flags),
     (mm, address, number, flags))
CALL(aspen_remap_raw,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      uint64_t number),
     (mm, address, length_bytes, number))
CALL(aspen_insert_page, (struct aspen_mm * mm, uint64_t address), (mm, address))
CALL(aspen_remap_file_pages,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      uint64_t offset_bytes, unsigned flags),
     (mm, address, length_bytes, offset_bytes, flags))
CALL(aspen_map_special,
     (struct aspen_mm * mm, uint64_t at, uint64_t length_bytes, unsigned place,
      uint64_t vm_flags, const struct aspen_special *special,
      uint64_t *address),
     (mm, at, length_bytes, place, vm_flags, special, address))
CALL(aspen_oom_reap, (struct aspen_mm * mm), (mm))
CALL(aspen_young,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags, uint64_t *pages),
     (mm, address, length_bytes, flags, pages))
CALL(aspen_pagemap_scan,
     (struct aspen_mm * mm, struct aspen_pagemap_scan *scan), (mm, scan))
CALL(aspen_userfault_create,
     (struct aspen_mm * mm, unsigned features,
      struct aspen_userfault **userfault),
     (mm, features, userfault))
CALL_VOID(aspen_userfault_close, (struct aspen_userfault * userfault),
          (userfault))
CALL(aspen_userfault_register,
     (struct aspen_userfault * userfault, uint64_t address,
      uint64_t length_bytes, unsigned modes),
     (userfault, address, length_bytes, modes))
CALL(aspen_userfault_unregister,
     (struct aspen_userfault * userfault, uint64_t address,
      uint64_t length_bytes),
     (userfault, address, length_bytes))
CALL(aspen_userfault_write_protect,
     (struct aspen_userfault * userfault, uint64_t address,
      uint64_t length_bytes, unsigned flags),
     (userfault, address, length_bytes, flags))
CALL(aspen_msync,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes,
      unsigned flags),
     (mm, address, length_bytes, flags))
CALL(aspen_mseal,
     (struct aspen_mm * mm, uint64_t address, uint64_t length_bytes),
     (mm, address, length_bytes))
CALL(aspen_object_create,
     (struct aspen * aspen, const struct aspen_object_args *args,
      struct aspen_object **object),
     (aspen, args, object))
