package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"snapshotd/internal/bench"
)

// A redisPeer keeps documents as strings, and for each saga the ids of its
// snapshots in a sorted set, by time.
type redisPeer struct {
	options   *redis.Options
	prefix    string // of our keys
	name      string
	directory string
}

func openRedis(ctx context.Context, address string) (*redisPeer, error) {
	r := &redisPeer{
		options: &redis.Options{Addr: address, PoolSize: 1, MaxRetries: -1, DisableIdentity: true},
		prefix:  fmt.Sprintf("snapshotd-bench-%d:", os.Getpid()),
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := bench.Loopback(host); err != nil {
		return nil, err
	}
	client := redis.NewClient(r.options)
	defer func() { _ = client.Close() }()
	setting := func(name string) (string, error) {
		values, err := client.ConfigGet(ctx, name).Result()
		return values[name], err
	}
	kept, err1 := setting("appendonly")
	sync, err2 := setting("appendfsync")
	dir, err3 := setting("dir")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	if kept != "yes" {
		sync = "no log"
	}
	r.name, r.directory = "redis "+sync, dir
	return r, nil
}

// remove deletes our keys.
func (r *redisPeer) remove(progress *bench.Progress) {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	client := redis.NewClient(r.options)
	defer func() { _ = client.Close() }()
	for cursor := uint64(0); ; {
		keys, next, err := client.Scan(ctx, cursor, r.prefix+"*", 1000).Result()
		if err == nil && len(keys) > 0 {
			err = client.Unlink(ctx, keys...).Err()
		}
		if err != nil {
			progress.Stage("keys %s* are left behind: %v\n", r.prefix, err)
			return
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}

func (r *redisPeer) Name() string      { return r.name }
func (r *redisPeer) Directory() string { return r.directory }

func (r *redisPeer) Connect(ctx context.Context) (bench.Session, error) {
	s := &redisSession{redisPeer: r, client: redis.NewClient(r.options)}
	if err := s.client.Ping(ctx).Err(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

type redisSession struct {
	*redisPeer
	client *redis.Client // with one connection
}

func (s *redisSession) Close() { _ = s.client.Close() }

func (s *redisSession) snapshot(id string) string    { return s.prefix + "snapshot:" + id }
func (s *redisSession) saga(id uuid.UUID) string     { return s.prefix + "saga:" + id.String() }
func (s *redisSession) replays(id uuid.UUID) string  { return s.prefix + "replays:" + id.String() }
func (s *redisSession) replay(id uuid.UUID) string   { return s.prefix + "replay:" + id.String() }
func (s *redisSession) checkpoints(id string) string { return s.prefix + "checkpoints:" + id }

// Save keeps a document, its place in the saga, and that it is the saga's last of
// its step, in one transaction.
func (s *redisSession) Save(ctx context.Context, d *bench.Document) error {
	id := d.ID.String()
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, s.snapshot(id), d.JSON, 0)
		p.ZAdd(ctx, s.saga(d.SagaID), redis.Z{Score: float64(d.CreatedAt.UnixMicro()), Member: id})
		p.HSet(ctx, s.checkpoints(d.SagaID.String()), d.Step, id)
		return nil
	})
	return err
}

func (s *redisSession) Get(ctx context.Context, c *bench.Corpus, snapshot uint64) error {
	return s.get(ctx, c.SnapshotID(snapshot).String())
}

func (s *redisSession) get(ctx context.Context, id string) error {
	document, err := s.client.Get(ctx, s.snapshot(id)).Bytes()
	if err == nil && (len(document) == 0 || document[0] != '{') {
		err = errors.New("that is no document")
	}
	return err
}

func (s *redisSession) Latest(ctx context.Context, c *bench.Corpus, saga uint64) error {
	ids, err := s.newest(ctx, c.SagaID(saga), 1)
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return errors.New("the saga has no snapshots")
	}
	return s.get(ctx, ids[0])
}

// newest are the ids of a saga's last n snapshots.
func (s *redisSession) newest(ctx context.Context, saga uuid.UUID, n int) ([]string, error) {
	return s.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.saga(saga), Start: 0, Stop: n - 1, Rev: true}).Result()
}

func (s *redisSession) List(ctx context.Context, c *bench.Corpus, saga uint64) error {
	ids, err := s.newest(ctx, c.SagaID(saga), bench.Snapshots)
	if err != nil {
		return err
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = s.snapshot(id)
	}
	if len(keys) != bench.Snapshots {
		return fmt.Errorf("%d documents instead of %d", len(keys), bench.Snapshots)
	}
	return s.client.MGet(ctx, keys...).Err()
}

// Replay finds the checkpoint and keeps the record.
func (s *redisSession) Replay(ctx context.Context, c *bench.Corpus, saga uint64) error {
	id := c.SagaID(saga)
	checkpoint, err := s.client.HGet(ctx, s.checkpoints(id.String()), bench.Checkpoint).Result()
	if err != nil {
		return err
	}
	replay := uuid.New()
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Get(ctx, s.snapshot(checkpoint))
		p.HSet(ctx, s.replay(replay), "saga_id", id.String(), "snapshot_id", checkpoint, "override", bench.Override)
		p.RPush(ctx, s.replays(id), replay.String())
		return nil
	})
	return err
}
