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
	switch {
	case command == nil:
		b.WriteString("snapshotd stores saga snapshots and serves them over HTTP.\n\nUsage:\n")
		printCommands(&b, ctx.Model.Leaves(true), ctx.Model.DefaultCmd)
		command = ctx.Model.DefaultCmd
		b.WriteString("\nOptions of serve:\n")
	case len(command.Children) > 0:
		fmt.Fprintf(&b, "%s\n\nUsage:\n", command.Help)
		printCommands(&b, command.Leaves(true), nil)
		fmt.Fprintf(&b, "\n\"snapshotd %s COMMAND --help\" shows the options.\n", command.Name)
	default:
		fmt.Fprintf(&b, "%s\n\nUsage: %s\n", command.Help, usage(command, false))
		if command.Detail != "" {
			b.WriteString("\n")
			for line := range wrap(strings.Fields(command.Detail), helpWidth) {
				fmt.Fprintln(&b, line)
			}
		}
		printArguments(&b, command.Positional)
		if len(command.Flags) > 0 {
			b.WriteString("\nOptions:\n")
		}
	}
	printOptions(&b, command.Flags)
	if text := variablesOf(command); text != "" {
		b.WriteString("\n" + text + "\nThe option wins.\n")
	}
	if command == ctx.Model.DefaultCmd {
		b.WriteString(`TIME is 90s, 1h30m, 30d; SIZE is 65536, 64KiB, 10MB. Switches take =true and =false.
`)
	}
	_, err := io.WriteString(ctx.Stdout, b.String())
	return err
}

// variablesOf says which options are variables, too; "" if none is.
func variablesOf(command *kong.Node) string {
	var list []string
	for _, flag := range command.Flags {
		if hasVariable(command, flag.Name) {
			list = append(list, fmt.Sprintf("--%s is %s", flag.Name, variable(flag.Name)))
		}
	}
	switch len(list) {
	case 0:
		return ""
	case len(command.Flags):
		return "Each option is a variable, too: " + list[0] + "."
	case 1:
		return "As a variable " + list[0] + "."
	default:
		return "As variables " + strings.Join(list, ", ") + "."
	}
}

// usage is how a command is typed; the default one needs not be.
func usage(command *kong.Node, byDefault bool) string {
	text := commandOf(command)
	if byDefault {
		text = "[" + text + "]"
	}
	text = "snapshotd " + text
	if len(command.Flags) > 0 {
		text += " [options]"
	}
	for _, argument := range command.Positional {
		if argument.IsCumulative() {
			text += " [-- " + argument.Name + " ...]"
		} else {
			text += " " + argument.Name
		}
	}
	return text
}

func printCommands(b *strings.Builder, commands []*kong.Node, byDefault *kong.Node) {
	var rows [][2]string
	for _, c := range commands {
		rows = append(rows, [2]string{usage(c, c == byDefault), c.Help})
	}
	printRows(b, rows)
}

func printArguments(b *strings.Builder, arguments []*kong.Positional) {
	var rows [][2]string
	for _, a := range arguments {
		rows = append(rows, [2]string{a.Name, a.Help})
	}
	if len(rows) > 0 {
		b.WriteString("\n")
	}
	printRows(b, rows)
}

func printOptions(b *strings.Builder, flags []*kong.Flag) {
	var rows [][2]string
	for _, flag := range flags {
		text := flag.Help
		if d := defaultOf(flag); d != "" {
			text += " (default " + d + ")"
		}
		rows = append(rows, [2]string{flag.String(), text})
	}
	printRows(b, rows)
}

// printRows prints two columns, the second one wrapped.
func printRows(b *strings.Builder, rows [][2]string) {
	left := 0
	for _, row := range rows {
		left = max(left, len(row[0]))
	}
	for _, row := range rows {
		name := row[0]
		for line := range wrap(strings.Fields(row[1]), helpWidth-left-4) {
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
