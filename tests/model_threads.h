/* Threads at one store: see tests/model_threads.c. */
#ifndef TIDFS_TESTS_MODEL_THREADS_H
#define TIDFS_TESTS_MODEL_THREADS_H

#include "store/store.h"

void test_threads__views_stay_as_they_are_while_others_write(void **state);

/* Shared with tests/test_model.c. */
void model_verify(struct store *store);
void model_new_store(char base[64], char directory[96]);
void model_remove_store(const char *base);

#endif
