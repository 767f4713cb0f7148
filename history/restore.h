/* Putting back: revert (paths as they were at an instant) and undo (what some transactions changed, leaving later ones).
 *
 * In two stages. A plan is a pure function of a store, a base (the newest transaction that it starts from) and a request: it reads
 * committed instants only, so that it can be made by any reader, shown, and made again elsewhere with the same result. Running a plan is one
 * head_transaction, made of the head's own operations.
 *
 *     restore_plan_make ──▶ shown (dry run)
 *     restore_run: plan, check ──▶ head_transaction { still the base? else plan and check again; apply } ──▶ done, and what the kernel must forget
 *
 * Invariants
 *  1. A plan with conflicts is never applied, nor one that restore_plan_check refuses: nothing is changed then.
 *  2. After a revert with nothing excluded, what the paths show differs in nothing from what they showed, but for ctimes.
 *  3. An object that is still there is moved and changed in place, never made anew; content is shared, not copied.
 *
 * What undo does with what was changed since (the reference is ZODB's rule: a part that is as the transaction left it is put back; one that is
 * as it was before needs nothing; else it must be resolvable):
 *  - Objects are followed by id, through later renames. An object that is gone has as successor what has been made since under its name.
 *  - Names merge one by one; attributes field by field, extended attributes name by name; text by lines, as `git merge-file`.
 *  - Times follow only if nobody set them since.
 *
 * Threads: a plan belongs to one at a time; restore_run from any. Errors: enum store_error with a sentence.
 */
#ifndef TIDFS_HISTORY_RESTORE_H
#define TIDFS_HISTORY_RESTORE_H

#include "history/diff.h"
#include "store/head.h"

/* A step of a revert that is to be done, known by its path. */
struct restore_choice {
    const char *path;    /* old_path, or if there is none new_path */
    bool comes;          /* there is no old_path */
    bool whole;          /* as the step says; else `data` is what the file is to hold, instead of what it held */
    const uint8_t *data; /* the caller's */
    size_t length;
};

struct restore_request {
    enum restore_kind { RESTORE_REVERT, RESTORE_UNDO } kind;
    /* revert: */
    uint64_t before;          /* as of */
    const char *const *paths; /* from the root, without slashes around them; "" is all */
    size_t path_count;
    bool keep_new; /* paths that were not there then stay as they are: they are neither deleted nor renamed */
    /* If there are any: of all steps only these are done, and what they cannot do without: directories above what comes. */
    const struct restore_choice *choices;
    size_t choice_count;
    /* undo: the transactions, in any order; each once */
    const uint64_t *seqs;
    size_t seq_count;
};

/* What is done at one path. */
struct restore_step {
    /* From what is to what is to be; its paths are owned. new.oid is that of the object that it is restored from, or if it gets content that
     * never was (merged or picked) its own; new.revision 0, and new.mtime of new content what it was. MODIFIED is told for each name that stays. */
    struct change change;
    bool merged; /* with what was changed since, by lines */
    /* What it will hold: the content of this object before this seq; 0: `data`, the plan's. */
    uint64_t source, source_before;
    const uint8_t *data;
    size_t length;
    struct draft_entry *entry; /* private to the plan: where something comes or goes */
    struct draft_node *node;   /* as well: what is renamed or modified */
};

/* Why something cannot be undone. */
struct restore_conflict {
    char *path;      /* owned; where it is now, or was */
    const char *why; /* "its content was changed since in the same lines"; static */
    uint64_t undone; /* tid of the transaction to undo; revert: 0 */
    uint64_t later;  /* tid of the newest that changed that very thing (content, attribute, name); 0: not known */
};

struct restore_plan; /* private */

/* Makes the plan for the tree as of `base`: the seq of the newest transaction, not more than store_last(). STORE_PACKED if the request is about what is
 * packed away, STORE_ABSENT for a path that was there neither then nor at base, STORE_INVALID for transaction 1 and those after base, and for a
 * revert to before transaction 1.
 * `progress` may be NULL. */
int restore_plan_make(struct store *store, uint64_t base, const struct restore_request *request,
                      void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                      struct restore_plan **plan, struct error *err);
void restore_plan_free(struct restore_plan *plan); /* NULL is legal */
/* In ascending byte order of the change's new_path, or old_path if there is none. Valid as long as the plan. */
const struct restore_step *restore_plan_steps(const struct restore_plan *plan, size_t *count);
const struct restore_conflict *restore_plan_conflicts(const struct restore_plan *plan, size_t *count);
/* STORE_OK if all contents that it puts in the place of others can be read; else an error that names the first that cannot be: STORE_CORRUPT, STORE_LOST,
 * or why reading failed. Stored bytes are shared and not read when a plan is applied, so that it would put what is damaged in the place of what is good.
 * Reads (and so checks) only bodies that are not in that place already: what is damaged there gets no worse. Contents of files that come where nothing is are
 * not read, unless a repair put losses on record: nothing good goes for them. */
int restore_plan_check(const struct restore_plan *plan, struct error *err);
/* There is nothing to do at all (steps alone do not tell: times of directories are not worth one). */
bool restore_plan_empty(const struct restore_plan *plan);
/* What the transaction says: "revert PATH… to TID", "undo TID: MESSAGE"; below `text`, if that is not NULL, with the first line of each undone
 * transaction's message. malloc'ed, if STORE_OK is returned; else NULL, and why such a transaction cannot be read, or STORE_NO_MEMORY. */
int restore_message(struct store *store, const struct restore_request *request, const char *text, char **message);

enum restore_outcome { RESTORE_DONE, RESTORE_NOTHING, RESTORE_CONFLICT };

/* What anybody who keeps names and attributes of the head in mind must look at again. */
struct restore_touched {
    uint64_t *oids; /* content, attributes or listing */
    size_t oid_count;
    struct restore_name {
        uint64_t parent;
        char *name;
        bool
            same; /* it leads to the file that it led to, which holds something else or has other times; else it leads elsewhere now, or somewhere
                    * or nowhere */
    } * names;
    size_t name_count;
};
void restore_touched_release(struct restore_touched *touched);

struct restore_result {
    enum restore_outcome outcome;
    uint64_t
        base; /* the plan that was applied, or that found nothing or conflicts, is restore_plan_make's for this base */
    uint64_t tid;                   /* DONE: of the transaction */
    struct restore_touched touched; /* DONE */
};

/* Does it, as one transaction of `user` with `message` (both not NULL). `only_base`, if not 0: with choices made for that base: if something
 * else was committed since, STORE_INVALID and nothing is done. */
int restore_run(struct store *store, struct head *head, const struct restore_request *request, uint64_t only_base,
                const char *user, const char *message, struct restore_result *result, struct error *err);

#endif
