#!/bin/sh
# Prints a new key of the form rt_ID_SECRET, without a line break, for auth.bootstrap_key.
# A secret stands for a number below 2^256, so its first of 43 base62 digits is 0 here;
# the other 42 are 250 random bits.
set -eu

digits() {
    LC_ALL=C tr -dc 0-9A-Za-z < /dev/urandom | head -c "$1"
}

printf 'rt_%s_0%s' "$(digits 12)" "$(digits 42)"
