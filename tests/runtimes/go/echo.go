package main

import (
	"fmt"
	"os"
)

func Main(args any) any {
	fmt.Println("hello stdout")
	fmt.Fprintln(os.Stderr, "hello stderr")
	return args
}
