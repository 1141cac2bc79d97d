/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <stdlib.h>

/* Whether a server was named; else the default one is looked at only if nothing on this machine is. */
static bool names_server(const struct kenctl *kenctl)
{
    const char *server = getenv("KENCTL_SERVER");
    return kenctl_option(kenctl, KENCTL_OPT_SERVER) || (server && *server);
}

static int run_doctor(struct kenctl *kenctl)
{
    struct kenctl_findings findings = {0};
    const bool machine = kenctl_option(kenctl, KENCTL_OPT_CONFIG) || kenctl_option(kenctl, KENCTL_OPT_DATA);
    if (machine) kenctl_doctor_machine(kenctl, &findings);
    if (!machine || names_server(kenctl)) kenctl_doctor_server(kenctl, &findings);
    return kenctl_findings_finish(&findings, kenctl);
}

static const unsigned char options[] = {KENCTL_OPT_FORMAT, KENCTL_OPT_CONFIG, KENCTL_OPT_DATA};

#define X(symbol, name, right) "  " name ": " right "\n"
const struct kenctl_command kenctl_command_doctor = {
    .name = "doctor",
    .summary = "Say what is wrong with an installation of kend",
    .operands = "",
    .text =
        "Looks at the kend of --server. With --config or --data it looks at an installation on this machine, and at a server only if\n"
        "one is named. A line for each check: ok, warn or fail, what was found, and what to do next; -q leaves out what is ok. The exit\n"
        "status is 1 if anything is `fail`. What has to be so:\n\n" KENCTL_CHECK_MAP(X) //
    "\nExamples:\n"
    "  kenctl doctor --server https://kend.example\n"
    "  kenctl doctor --config /etc/kend/kend.conf --data /var/lib/kend\n"
    "  kenctl doctor -o json | jq -r '.checks[] | select(.status != \"ok\").found'\n",
    .options = options,
    .option_count = sizeof options,
    .run = run_doctor,
};
#undef X
