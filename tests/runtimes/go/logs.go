package main

import (
	"fmt"
	"os"
	"strings"
)

type Arguments struct {
	Lines int `json:"lines"`
}

func Main(args Arguments) map[string]any {
	text := strings.Repeat("x", 90)
	for range args.Lines {
		fmt.Println("out", text)
		fmt.Fprintln(os.Stderr, "err", text)
	}
	return map[string]any{"lines": args.Lines}
}
