/* Requests made up from bytes, for tests/fuzz_requests.c: what is asked (requests_build.c), and what an answer may look like (requests_check.c).
 *
 * Any bytes are requests; when they end, so do the requests. Each is an opcode, a node and what belongs to the opcode, from small tables of values that are
 * apt to be mishandled, or as the bytes say.
 *
 * What is kept out, because libfuse 3.14 believes it without a look and reads beyond what it received: names that do not end, and lengths in a request of
 * more data than it has (of WRITE, SETXATTR, BATCH_FORGET and IOCTL). So each payload is followed by zeros, which end any name, and those lengths are at most
 * what was sent. The header's own length, which libfuse does not look at, may be anything. And it loses memory with each NOTIFY_REPLY to what it never asked, so
 * there are none.
 */
#ifndef TIDFS_TESTS_REQUESTS_H
#define TIDFS_TESTS_REQUESTS_H

#include "tests/fake_kernel.h"
#include "tests/fake_store.h"

#define REQUESTS_NODES_MAX   64
#define REQUESTS_PAYLOAD_MAX ((size_t)192 * 1024)

/* What is left of the bytes; behind their end they are all 0. */
struct input {
    const uint8_t *at;
    size_t left;
};

/* What the one who asks knows. */
struct known {
    size_t room; /* bytes of the largest reply that would arrive */
    bool extended_setxattr, stateless;
    struct fake_instants instants;
    uint64_t head; /* the node of /head; 0: there is none */
    uint64_t nodes[REQUESTS_NODES_MAX];
    size_t node_count; /* that were ever looked up; the newest replace the oldest */
    uint64_t order_id; /* that the driver gave out last */
    uint64_t last_unique;
};
void known_add(struct known *known, uint64_t node);

struct built {
    struct fake_request request;
    uint8_t *payload; /* malloc'ed */
    bool replied;     /* it is to have an answer */
    uint64_t size;    /* the most data that the answer may have */
};
/* false: the input is at its end. */
bool request_build(struct input *input, const struct known *known, struct built *built);

/* Whether that is what a kernel would take for an answer. Learns from it. NULL, or what is wrong. */
const char *reply_check(const struct built *built, const struct fake_reply *reply, struct known *known);

#endif
