/* SPDX-License-Identifier: Apache-2.0 */
typedef int placeholder_until_the_first_file_of_this_part;
