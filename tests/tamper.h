/* Damage done to a store on purpose. */
#ifndef TIDFS_TESTS_TAMPER_H
#define TIDFS_TESTS_TAMPER_H

/* Runs SQL on the database of a store, below everything that tidfs promises but with right checksums of pages; the test fails if that fails. The
 * function row_sum(COLUMN...) gives the checksum of a row of these values (store/FORMAT.md). */
void change_database(const char *directory, const char *sql);
/* The same of another file there. */
void change_other_database(const char *directory, const char *name, const char *sql);
/* Puts on record that it is lost when transaction 1 was, as a repair does. Of a store that has lost nothing yet. */
void record_lost_time(const char *directory);

#endif
