package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

const helpWidth = 88

// printHelp prints the help of the chosen command; of the program as a whole
// when none was chosen, with the options of serve.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	var b strings.Builder
	command := ctx.Selected()
	if command == nil {
		b.WriteString("snapshotd stores saga snapshots and serves them over HTTP.\n\nUsage:\n")
		for _, c := range ctx.Model.Children {
			usage := "snapshotd " + c.Name
			if c == ctx.Model.DefaultCmd {
				usage = "snapshotd [serve]"
			}
			if len(c.Flags) > 0 {
				usage += " [options]"
			}
			fmt.Fprintf(&b, "  %-31s  %s\n", usage, c.Help)
		}
		command = ctx.Model.DefaultCmd
		b.WriteString("\nOptions of serve:\n")
	} else {
		fmt.Fprintf(&b, "%s\n\nUsage: snapshotd %s", command.Help, command.Name)
		if len(command.Flags) > 0 {
			b.WriteString(" [options]\n\nOptions:")
		}
		b.WriteString("\n")
	}
	printOptions(&b, command.Flags)
	if len(command.Flags) > 0 {
		example := command.Flags[0].Name
		fmt.Fprintf(&b, "\nEach option is a variable, too: --%s is %s. The option wins.\n", example, variable(example))
	}
	if command == ctx.Model.DefaultCmd {
		b.WriteString(`TIME is 90s, 1h30m, 30d; SIZE is 65536, 64KiB, 10MB. Switches take =true and =false.
`)
	}
	_, err := io.WriteString(ctx.Stdout, b.String())
	return err
}

func printOptions(b *strings.Builder, flags []*kong.Flag) {
	left := 0
	for _, flag := range flags {
		left = max(left, len(flag.String()))
	}
	for _, flag := range flags {
		words := strings.Fields(flag.Help)
		if d := defaultOf(flag); d != "" {
			words = append(words, "(default "+d+")")
		}
		name := flag.String()
		for line := range wrap(words, helpWidth-left-4) {
			fmt.Fprintf(b, "  %-*s  %s\n", left, name, line)
			name = ""
		}
	}
}

// defaultOf is the default worth showing: a switch that is off needs none.
func defaultOf(flag *kong.Flag) string {
	if flag.Default == "false" || flag.Default == "0" {
		return ""
	}
	return flag.Default
}

// wrap yields lines of whole words.
func wrap(words []string, width int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		line := ""
		for _, word := range words {
			switch {
			case line == "":
				line = word
			case len(line)+1+len(word) <= width:
				line += " " + word
			default:
				if !yield(line) {
					return
				}
				line = word
			}
		}
		yield(line)
	}
}
