package main

import "os"

func init() {
	os.Exit(3)
}

func Main(args map[string]any) map[string]any {
	return args
}
