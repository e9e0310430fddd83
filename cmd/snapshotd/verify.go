package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"snapshotd/internal/store/filestore"
)

// verifyOptions say what to check.
type verifyOptions struct {
	BasePath directory `placeholder:"DIR" default:"./saga-snapshots" help:"The directory to check, while no daemon works on it."`
	Repair   bool      `help:"Mend what is found: write indexes again, replay the log, set modes, move what cannot be read to .snapshotd/quarantine/. Nothing that holds data is deleted."`
	URL      string    `name:"url" placeholder:"URL" help:"Check what the daemon there answers instead of a directory."`
	Token    string    `placeholder:"TOKEN" help:"Sent to the daemon at --url; it needs the scope read."`
	JSON     bool      `name:"json" help:"Print the report for machines."`
}

// Help is what the help says beside the options.
func (*verifyOptions) Help() string {
	return `Reads every file, whatever the indexes say of it, and compares files, indexes and log. Nothing is written without --repair. Exit code: 0 when nothing is wrong or all of it is repaired, 1 when findings are left, 2 when it could not be checked.`
}

// A verification is the report on a directory or a daemon.
type verification struct {
	URL string `json:"url,omitempty"`
	*filestore.Report
	Left  int      `json:"left"`            // findings that are not repaired
	Notes []string `json:"notes,omitempty"` // what could not be compared
	// Incomplete says that the check was broken off.
	Incomplete bool `json:"incomplete,omitempty"`
}

// verify checks a directory or a daemon. Nothing has been checked, or not all of
// it, when it answers exitUsage.
func (p *process) verify(ctx context.Context, o *verifyOptions) int {
	target, err := url.Parse(o.URL)
	switch {
	case o.URL == "":
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https":
		p.complain("--url: a URL such as http://127.0.0.1:7420 was expected, not %q", o.URL)
		return exitUsage
	case o.Repair:
		p.complain("--repair is for a directory: stop the daemon, and leave out --url")
		return exitUsage
	}
	show := &bar{w: p.stderr, on: isTerminal(p.stderr)}
	v := &verification{URL: strings.TrimSuffix(o.URL, "/")}
	if o.URL != "" {
		err = v.online(ctx, o.Token, show)
	} else {
		v.Report, err = filestore.Verify(ctx, filestore.VerifyConfig{
			BasePath: string(o.BasePath), Repair: o.Repair, Progress: show.update,
		})
	}
	show.end()
	// What was found before it failed is worth reading all the same.
	if v.Report != nil {
		v.Left, v.Incomplete = v.Report.Left(), err != nil
		write := v.writeText
		if o.JSON {
			write = v.writeJSON
		}
		err = errors.Join(err, write(p.stdout))
	}
	switch {
	case errors.Is(err, filestore.ErrInUse):
		p.complain("%v\nTo check what a running daemon answers: snapshotd verify --url http://127.0.0.1:7420", err)
		return exitUsage
	case err != nil:
		p.complain("it could not be checked: %v", err)
		return exitUsage
	case v.Left > 0:
		return exitFailure
	default:
		return exitOK
	}
}

func (v *verification) writeJSON(w io.Writer) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

// mostListed bounds what people are shown of one kind.
const mostListed = 50

func (v *verification) writeText(w io.Writer) error {
	var b strings.Builder
	found, repaired := map[filestore.Kind]int{}, map[filestore.Kind]int{}
	for _, f := range v.Findings {
		found[f.Kind]++
		if f.Repaired {
			repaired[f.Kind]++
		}
		if found[f.Kind] <= mostListed {
			fmt.Fprintf(&b, "%-10s  %s\n%12s%s\n%12s%s\n\n", f.Kind, f.Path, "", f.Detail, "", v.remedy(&f))
		}
	}
	name := v.BasePath
	if v.URL != "" {
		name = v.URL
	}
	fmt.Fprintf(&b, "%s: %d sagas, %d snapshots (%d bytes), %d replays", name, v.Sagas, v.Snapshots, v.Bytes, v.Replays)
	if v.LogRecords > 0 {
		fmt.Fprintf(&b, ", %d records in its log were not settled", v.LogRecords)
	}
	b.WriteString("\n")
	for _, note := range v.Notes {
		fmt.Fprintf(&b, "Note: %s\n", note)
	}
	if len(v.Findings) == 0 {
		if v.Incomplete {
			b.WriteString("The check was broken off; nothing was wrong so far.\n")
		} else {
			b.WriteString("Nothing is wrong.\n")
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	b.WriteString("\n")
	fmt.Fprintf(&b, "%-10s  %6s  %8s  %6s\n", "kind", "found", "repaired", "left")
	cut := false
	for _, kind := range kinds {
		if n := found[kind]; n > 0 {
			fmt.Fprintf(&b, "%-10s  %6d  %8d  %6d\n", kind, n, repaired[kind], n-repaired[kind])
			cut = cut || n > mostListed
		}
	}
	if cut {
		fmt.Fprintf(&b, "\nOf each kind at most %d are shown; --json has them all.\n", mostListed)
	}
	if v.Quarantine != "" {
		fmt.Fprintf(&b, "\nWhat was moved lies in %s.\n", v.Quarantine)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// remedy says what becomes of a finding.
func (v *verification) remedy(f *filestore.Finding) string {
	switch {
	case f.Repaired:
		return "done: " + f.Repair
	case f.Error != "":
		return "could not be repaired: " + f.Error
	case v.URL != "":
		return "to mend it, stop the daemon and verify its directory"
	case f.Repair == "":
		return "it is left alone, also by --repair"
	default:
		return "--repair: " + f.Repair
	}
}
