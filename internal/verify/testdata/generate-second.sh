#!/bin/sh
# Writes the vectors second-* of this folder with the JDK alone: its own RSA and
# AES, its own percent-encoding and charsets. Alipay's servers run Java, so this
# is the nearest to the other side that can be had; and what openssl, which made
# the other vectors, and Go might both get wrong, a third one need not. The keys
# are fresh and TEST-ONLY; their private halves never leave the process. The
# vectors are committed; run this only to change them.
#
# The format is that of generate.sh. It needs a JDK of version 17 or later
# (Debian: openjdk-17-jdk-headless, or default-jdk-headless).
set -eu
export LC_ALL=C # Java's messages; its charsets are all named
cd "$(dirname "$0")"
rm -f -- second-*
exec java -Dfile.encoding=UTF-8 GenerateSecond.java
