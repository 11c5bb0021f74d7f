package main

import "os"

var atLoad = os.Getenv("SOME_VAR")

func Main(args map[string]any) map[string]any {
	another, there := os.LookupEnv("ANOTHER_VAR")
	found := map[string]any{"at_load": atLoad, "SOME_VAR": os.Getenv("SOME_VAR")}
	if there {
		found["ANOTHER_VAR"] = another
	}
	return found
}
