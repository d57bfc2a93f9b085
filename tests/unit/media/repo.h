/* repo.h - a content repository on a new store, in a folder of its own. */
#pragma once

#include "store/both.h"

#include <ftw.h>

#include "bus/bus.h"
#include "crypto/crypto.h"
#include "media/media.h"

struct repo {
	struct both *b;
	struct bus *bus;
	struct media *m;
	struct media_options opt;
};

static inline int repo_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static char repo_dir[96];
static inline void repo_remove_left(void)
{
	if (repo_dir[0])
		(void)nftw(repo_dir, repo_unlink, 8, FTW_DEPTH | FTW_PHYS);
	repo_dir[0] = '\0';
}

static inline void repo_open(struct repo *r) { both_ok(media_new(r->b->a, &r->opt, &r->m)); }

static inline void repo_begin(struct repo *r, struct both *b)
{
	static unsigned count;

	if (count++ == 0) {
		crypto_init();
		log_setup(LOG_ERROR, LOG_TEXT);
		atexit(repo_remove_left);
	}
	repo_remove_left();
	snprintf(repo_dir, sizeof(repo_dir), "%s.media", b->dir);
	*r = (struct repo){ .b = b, .bus = bus_new(100) };
	r->opt = (struct media_options){
		.store = b->st,
		.bus = r->bus,
		.server_name = S("x.org"),
		.dir = str_c(repo_dir),
		.max_upload_size = 1000000,
		.unused_expiration_ms = 3600000,
		.max_pending = 3,
		.no_keeper = true,
	};
	repo_open(r);
}

static inline void repo_end(struct repo *r)
{
	media_free(&r->m);
	bus_free(&r->bus);
	repo_remove_left();
}

/* Files in the folder, or in its tmp/ alone. */
static size_t repo_counted;
static inline int repo_count_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	repo_counted += kind == FTW_F;
	return 0;
}
static inline size_t repo_files(const char *below)
{
	char path[128];

	snprintf(path, sizeof(path), "%s%s", repo_dir, below);
	repo_counted = 0;
	assert_int_equal(nftw(path, repo_count_one, 8, FTW_PHYS), 0);
	return repo_counted;
}

/* The call must fail with this code. */
#define refused(call, want)                                                                                            \
	do {                                                                                                           \
		const err *refused_e_ = (call);                                                                        \
		if (!refused_e_)                                                                                       \
			fail_msg("%s: succeeded", #call);                                                              \
		if (refused_e_->code != (want))                                                                        \
			fail_msg("%s: %s: %.*s", #call, err_errcode(refused_e_->code), STR_ARG(refused_e_->msg));      \
	} while (0)
