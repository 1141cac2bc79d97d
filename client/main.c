/* SPDX-License-Identifier: Apache-2.0 */
#include "kenctl.h"

int main(int argc, char **argv)
{
    return kenctl_run(argc, argv);
}
