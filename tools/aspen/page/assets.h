/* SPDX-License-Identifier: MIT */
/*
 * assets.h - page.css and page.js as texts, which the Makefile makes of them.
 */
#ifndef ASPEN_PAGE_ASSETS_H
#define ASPEN_PAGE_ASSETS_H

extern const char page_css[];
extern const char page_js[];

#endif
