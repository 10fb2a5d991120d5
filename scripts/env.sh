# Sourced by the other scripts: where the tools are.
PATH=$PWD/bin/tools/node_modules/.bin:$PATH:/usr/local/go/bin
export PATH
# The toolchain that is here, never one fetched behind one's back.
export GOTOOLCHAIN=${GOTOOLCHAIN:-local}
