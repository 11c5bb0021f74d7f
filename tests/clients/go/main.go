package main

import _ "github.com/apache/openwhisk-client-go/whisk"

func main() {}
