// Package spec holds the contract of the HTTP API, an OpenAPI 3.1 document.
package spec

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

// YAML is the document as it was written.
//
//go:embed openapi.yaml
var YAML []byte

// JSON is the document as JSON, its keys in the same order.
var JSON = sync.OnceValues(func() ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, err
	}
	text, err := appendJSON(nil, &doc)
	return append(text, '\n'), err
})

func appendJSON(dst []byte, n *yaml.Node) ([]byte, error) {
	switch n.Kind {
	case yaml.DocumentNode:
		return appendJSON(dst, n.Content[0])
	case yaml.AliasNode:
		return appendJSON(dst, n.Alias)
	case yaml.ScalarNode:
		return appendScalar(dst, n)
	case yaml.SequenceNode:
		return appendList(dst, n, '[', ']', 1)
	case yaml.MappingNode:
		return appendList(dst, n, '{', '}', 2)
	default:
		return nil, fmt.Errorf("line %d: this is not JSON in YAML's clothes", n.Line)
	}
}

// appendList appends entries of one node each, or of a name and a value.
func appendList(dst []byte, n *yaml.Node, open, closing byte, width int) ([]byte, error) {
	var err error
	dst = append(dst, open)
	for i, node := range n.Content {
		if isName := width == 2 && i%2 == 0; isName {
			node = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: node.Value}
		}
		switch {
		case i == 0:
		case i%width == 0:
			dst = append(dst, ',')
		default:
			dst = append(dst, ':')
		}
		if dst, err = appendJSON(dst, node); err != nil {
			return nil, err
		}
	}
	return append(dst, closing), nil
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	var value any = n.Value
	switch n.ShortTag() {
	case "!!int", "!!float", "!!bool", "!!null":
		if err := n.Decode(&value); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(value)
	return append(dst, text...), err
}
