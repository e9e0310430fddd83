package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"snapshotd/internal/bench"
)

// A postgres keeps snapshots as a row each: the columns that find it, and the
// document as text, which costs less than jsonb and keeps the bytes.
type postgres struct {
	config    *pgx.ConnConfig
	schema    string
	name      string
	directory string

	mu   sync.Mutex
	idle []*pgx.Conn // kept, as a pool does: a new process of the server takes long to warm up
}

const tables = `
CREATE TABLE snapshots (
	id uuid PRIMARY KEY, saga_id uuid NOT NULL, created_at timestamptz NOT NULL,
	step_index int NOT NULL, step_name text NOT NULL, document text NOT NULL);
CREATE INDEX ON snapshots (saga_id, created_at DESC, step_index DESC, id DESC);
CREATE TABLE replays (
	id uuid PRIMARY KEY, saga_id uuid NOT NULL, snapshot_id uuid NOT NULL,
	created_at timestamptz NOT NULL DEFAULT now(), override text NOT NULL);
CREATE INDEX ON replays (saga_id, created_at DESC, id DESC);`

// openPostgres makes the tables in a schema of our own.
func openPostgres(ctx context.Context, dsn string) (*postgres, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		if err := bench.Loopback(host); err != nil {
			return nil, err
		}
	}
	p := &postgres{config: config, schema: fmt.Sprintf("snapshotd_bench_%d", os.Getpid()), name: "postgres"}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	var fsync, commit string
	if err := conn.QueryRow(ctx, "SELECT current_setting('fsync'), current_setting('synchronous_commit')").Scan(&fsync, &commit); err != nil {
		return nil, err
	}
	if fsync != "on" || commit != "on" {
		p.name = "postgres unsynced"
	}
	// Only a superuser is told; without it there are no flushes in the table.
	_ = conn.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&p.directory)
	config.RuntimeParams["search_path"] = p.schema
	_, err = conn.Exec(ctx, "CREATE SCHEMA "+p.schema+"; SET search_path = "+p.schema+";"+tables)
	return p, err
}

// remove drops what openPostgres made.
func (p *postgres) remove(progress *bench.Progress) {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	for _, conn := range p.idle {
		_ = conn.Close(ctx)
	}
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err == nil {
		_, err = conn.Exec(ctx, "DROP SCHEMA "+p.schema+" CASCADE")
		_ = conn.Close(ctx)
	}
	if err != nil {
		progress.Stage("schema %s is left behind: %v\n", p.schema, err)
	}
}

func (p *postgres) Name() string      { return p.name }
func (p *postgres) Directory() string { return p.directory }

func (p *postgres) Connect(ctx context.Context) (bench.Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		conn := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return &postgresSession{conn, p}, nil
	}
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, err
	}
	return &postgresSession{conn, p}, nil
}

// A postgresSession prepares each statement once, as pgx does by itself.
type postgresSession struct {
	conn *pgx.Conn
	from *postgres
}

func (s *postgresSession) Close() {
	if s.conn.IsClosed() {
		return
	}
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	s.from.idle = append(s.from.idle, s.conn)
}

func (s *postgresSession) Save(ctx context.Context, d *bench.Document) error {
	_, err := s.conn.Exec(ctx,
		"INSERT INTO snapshots (id, saga_id, created_at, step_index, step_name, document) VALUES ($1, $2, $3, $4, $5, $6)",
		[16]byte(d.ID), [16]byte(d.SagaID), d.CreatedAt, d.StepIndex, d.Step, d.JSON)
	return err
}

func (s *postgresSession) Get(ctx context.Context, c *bench.Corpus, snapshot uint64) error {
	return s.read(ctx, 1, "SELECT document FROM snapshots WHERE id = $1", [16]byte(c.SnapshotID(snapshot)))
}

func (s *postgresSession) Latest(ctx context.Context, c *bench.Corpus, saga uint64) error {
	return s.read(ctx, 1,
		"SELECT document FROM snapshots WHERE saga_id = $1 ORDER BY created_at DESC, step_index DESC, id DESC LIMIT 1",
		[16]byte(c.SagaID(saga)))
}

func (s *postgresSession) List(ctx context.Context, c *bench.Corpus, saga uint64) error {
	return s.read(ctx, bench.Snapshots,
		"SELECT document FROM snapshots WHERE saga_id = $1 ORDER BY created_at DESC, step_index DESC, id DESC LIMIT 10",
		[16]byte(c.SagaID(saga)))
}

// Replay finds the checkpoint and keeps the record in one statement.
func (s *postgresSession) Replay(ctx context.Context, c *bench.Corpus, saga uint64) error {
	return s.read(ctx, 1, `
		WITH checkpoint AS (
			SELECT id, document FROM snapshots WHERE saga_id = $1 AND step_name = $2
			ORDER BY created_at DESC, step_index DESC, id DESC LIMIT 1),
		record AS (
			INSERT INTO replays (id, saga_id, snapshot_id, override)
			SELECT $3, $1, id, $4 FROM checkpoint)
		SELECT document FROM checkpoint`,
		[16]byte(c.SagaID(saga)), bench.Checkpoint, [16]byte(uuid.New()), bench.Override)
}

// read brings so many documents.
func (s *postgresSession) read(ctx context.Context, want int, query string, args ...any) error {
	rows, err := s.conn.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	n := 0
	for rows.Next() {
		if document := rows.RawValues()[0]; len(document) > 0 && document[0] == '{' {
			n++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != want {
		return fmt.Errorf("%d documents instead of %d", n, want)
	}
	return nil
}
