/* SPDX-License-Identifier: MIT */
/*
 * The range tree with nodes of four slots (three in the wide form): a few
 * hundred entries make a deep tree. The sources are compiled in here, so the
 * library's own tree is not linked.
 */
#define ASPEN_TREE_TEST_FANOUT 4
#include "tree/check.c"
#include "tree/copy.c"
#include "tree/form.c"
#include "tree/gap_notes.c"
#include "tree/gap_search.c"
#include "tree/path.c"
#include "tree/pool.c"
#include "tree/rebuild.c"
#include "tree/reserve.c"
#include "tree/store_leaf.c"
#include "tree/tree.c"
#include "tree/write.c"

#include "tree_tests.h"
