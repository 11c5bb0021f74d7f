//go:build tools

// The programs that `go install` builds at the versions of go.mod.
package main

import _ "github.com/apache/openwhisk-wskdeploy"
