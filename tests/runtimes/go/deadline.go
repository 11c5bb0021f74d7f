package main

import (
	"os"
	"strconv"
	"time"
)

func Main(args map[string]any) (map[string]any, error) {
	deadline, err := strconv.ParseInt(os.Getenv("__OW_DEADLINE"), 10, 64)
	return map[string]any{"left": deadline - time.Now().UnixMilli()}, err
}
