// Prints what sigs.k8s.io/yaml makes of YAML documents. They come on standard input, separated by NUL bytes; each is
// answered by one line of JSON, or "error: ...". The expected values under tests/cases were made with it.
//
// It is not part of the build. To compare the two readers over any documents:
//
//	cp peer.go /tmp/peer/main.go && cd /tmp/peer
//	go mod init peer && go get sigs.k8s.io/yaml@v1.6.0 && go build -o peer .
//	./peer < documents > theirs
//	cargo run --release -p meshward-manifest --example manifest-peer < documents > ours
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

func convert(document []byte) string {
	json, err := yaml.YAMLToJSON(document)
	if err != nil {
		return "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	return string(json)
}

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	output := bufio.NewWriter(os.Stdout)
	defer output.Flush()
	for _, document := range bytes.Split(input, []byte{0}) {
		fmt.Fprintln(output, convert(document))
	}
}
