package main

import "os"

func Main(args map[string]any) map[string]any {
	os.Exit(3)
	return args
}
