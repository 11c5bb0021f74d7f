// All cases in one program, since each program is compiled.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

var hog [][]byte
var objects []map[string]any
var files []*os.File

func filled(size int) []byte {
	block := make([]byte, size)
	for i := range block {
		block[i] = 'x'
	}
	return block
}

func init() {
	switch os.Getenv("TROUBLE") {
	case "time":
		for {
		}
	case "exit":
		os.Exit(1)
	case "memory":
		for {
			hog = append(hog, filled(16<<20))
		}
	}
}

func code(err error) string {
	for name, known := range map[string]error{"EMFILE": syscall.EMFILE, "EFBIG": syscall.EFBIG, "ENOSPC": syscall.ENOSPC} {
		if errors.Is(err, known) {
			return name
		}
	}
	return fmt.Sprint(err)
}

func Main(args map[string]any) map[string]any {
	host, _ := os.Hostname()
	calm := args["calm"] == true
	if args["exit"] == true {
		os.Exit(1)
	}
	switch args["case"] {
	case "logs":
		for i := 0; i < 40_000 && !calm; i++ {
			fmt.Println(strings.Repeat("x", 99))
		}
		fmt.Println("last")
	case "result":
		if !calm {
			return map[string]any{"host": host, "text": strings.Repeat("ü", 1<<20)}
		}
	}
	if calm || args["case"] == "logs" {
		return map[string]any{"host": host}
	}
	switch args["case"] {
	case "memory":
		for i := 0; i < 64; i++ {
			hog = append(hog, filled(16<<20))
		}
	case "memory_heap":
		for i := 0; i < 1<<24; i++ {
			objects = append(objects, map[string]any{"i": i, "text": fmt.Sprintf("object %d", i)})
		}
	case "memory_child":
		child := exec.Command("tail", "/dev/zero")
		child.Run()
		return map[string]any{"killed": child.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL}
	case "exit":
		os.Exit(1)
	case "time":
		for {
		}
	case "pids":
		var children []*exec.Cmd
		for len(children) < 500 {
			child := exec.Command("sleep", "60")
			if child.Start() != nil {
				break
			}
			children = append(children, child)
		}
		for _, child := range children {
			child.Process.Kill()
			child.Wait()
		}
		return map[string]any{"count": len(children)}
	case "open_files":
		var opened []*os.File
		var err error
		for len(opened) < 2000 && err == nil {
			var file *os.File
			if file, err = os.Open("/dev/null"); err == nil {
				opened = append(opened, file)
			}
		}
		for _, file := range opened {
			file.Close()
		}
		return map[string]any{"count": len(opened), "code": code(err)}
	case "file_size":
		path := os.TempDir() + "/large"
		file, err := os.Create(path)
		count := 0
		for block := filled(1 << 20); count < 200<<20 && err == nil; {
			var written int
			written, err = file.Write(block)
			count += written
		}
		file.Close()
		os.Remove(path)
		return map[string]any{"count": count, "code": code(err)}
	case "disk", "disk_deleted":
		block := filled(8 << 20)
		for i := 0; i < 40; i++ {
			path := fmt.Sprintf("%s/file%d", os.TempDir(), i)
			file, err := os.Create(path)
			if err == nil && args["case"] == "disk_deleted" {
				err = os.Remove(path)
			}
			if err == nil {
				_, err = file.Write(block)
			}
			if err != nil {
				return map[string]any{"code": code(err)}
			}
			files = append(files, file)
		}
		time.Sleep(50 * time.Second)
	}
	return map[string]any{"nothing": "happened"}
}
