/* Every call that fails: the store, the head and history under each failure of an allocation, of a system call, and of SQLite. See
 * tests/faults_world.h for what must hold. */
#include "tests/faults_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCENARIOS_MAX 128

static void test_faults(void **state) {
    scenario_run(*state);
}

static int set_up(void **state) {
    (void)state;
    world_make_template();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    world_remove_template();
    scenario_totals();
    return 0;
}

int main(void) {
    static struct CMUnitTest tests[SCENARIOS_MAX];
    static char names[SCENARIOS_MAX][64];
    const struct scenario *const lists[] = {store_scenarios, head_scenarios, history_scenarios, repair_scenarios,
                                            damage_scenarios};
    size_t count = 0;
    inject_init();
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        for (const struct scenario *scenario = lists[i]; scenario->name && count < SCENARIOS_MAX; scenario++) {
            (void)snprintf(names[count], sizeof names[0], "test_faults__%s", scenario->name);
            tests[count] = (struct CMUnitTest){
                .name = names[count], .test_func = test_faults, .initial_state = (void *)(uintptr_t)scenario};
            count++;
        }
    return _cmocka_run_group_tests("test_faults", tests, count, set_up, tear_down);
}
