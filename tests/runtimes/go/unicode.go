package main

import "fmt"

func Main(args map[string]any) map[string]any {
	winter := fmt.Sprintf("%v ☃ %v", args["delimiter"], args["delimiter"])
	fmt.Println(winter)
	return map[string]any{"winter": winter}
}
