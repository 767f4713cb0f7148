/* What tests/test_driver_faults.c does under faults: one step is one request (a few where one alone makes no sense) to a fresh mount of a copy of the same store.
 *
 * A step must be such that it can be asked again after it failed, and leaves the same tree then as if it had not; that its whole effect is one operation of the
 * head's, so that it is there or not; and that it does not depend on the clock.
 */
#ifndef TIDFS_TESTS_DRIVER_FAULTS_H
#define TIDFS_TESTS_DRIVER_FAULTS_H

#include "tests/fake_requests.h"
#include "tests/fake_store.h"

#define STEP_NODES 3

struct world {
    struct fake_mount mount;
    const struct fake_instants *instants;
    uint64_t nodes[STEP_NODES]; /* of the step's paths */
    uint64_t number;            /* the step's own, 0 before it */
};

struct step {
    const char *name;
    const char *options;           /* of the mount */
    const char *paths[STEP_NODES]; /* from the root, looked up before; "" is the root, %N the tid of the Nth instant */
    int64_t (*prepare)(struct world *world); /* NULL: nothing; no faults yet */
    int64_t (*act)(struct world *world);     /* 0 or more, or the negative errno that was answered */
};

extern const struct step steps[]; /* ends with a name of NULL */

#endif
