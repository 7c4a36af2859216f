package dedupe

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// oldest is the first major version with all that we use: ACLs, and TLS.
const oldest = 6

// Check looks at the server behind client, or at every master of a cluster. The
// findings are lines for an operator: the version and role of each server, then
// what is wrong with it, beginning with "warning: ", and last, after NoClaims,
// whether claims are refused. The error says that a server did not answer at all.
// What an ACL forbids to know is a finding, not an error.
func Check(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	found, err := checkServers(ctx, client)
	if err != nil {
		return nil, err
	}
	// A login that may not do what a claim takes must be found here and not by the
	// first notification.
	if err := Probe(ctx, client); refused(err) {
		found = append(found, NoClaims+err.Error())
	} else if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	return found, nil
}

// NoClaims begins the finding that says why claims, commits or releases are refused.
const NoClaims = "warning: claims are refused: "

func checkServers(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return checkServer(ctx, client, "")
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		found, err := checkServer(ctx, master, master.Options().Addr+": ")
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return err
	})
	slices.Sort(all) // masters answer in any order
	return all, err
}

func checkServer(ctx context.Context, client redis.UniversalClient, name string) ([]string, error) {
	if err := client.Ping(ctx).Err(); err != nil && !forbidden(err) {
		return nil, fmt.Errorf("%sping: %w", name, err)
	}
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	info, err := readInfo(ctx, client)
	if err != nil && !isRefusal(err) {
		return nil, fmt.Errorf("%sinfo: %w", name, err)
	}
	if err != nil {
		say("warning: %sversion and role are unknown: %v", name, err)
	} else {
		say("%s%s", name, describe(info))
		if major, _, _ := strings.Cut(info["redis_version"], "."); !atLeast(major, oldest) {
			say("warning: %sversion %s is older than %d", name, info["redis_version"], oldest)
		}
		if role := info["role"]; role != "master" {
			say("warning: %sthe role is %q, not master", name, role)
		}
	}
	policy := info["maxmemory_policy"]
	if policy == "" {
		policy = readPolicy(ctx, client)
	}
	switch policy {
	case "noeviction":
	case "":
		say("warning: %smaxmemory-policy is unknown, it should be noeviction", name)
	default:
		say("warning: %smaxmemory-policy is %s, not noeviction: claims and commits can be evicted", name, policy)
	}
	return found, nil
}

func describe(info map[string]string) string {
	server := "redis " + info["redis_version"]
	if v := info["valkey_version"]; v != "" {
		server = "valkey " + v
	}
	return server + ", " + info["redis_mode"] + ", " + info["role"]
}

// readInfo asks for the default sections at once: Redis 6 takes one section a call.
func readInfo(ctx context.Context, client redis.UniversalClient) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[k] = v
		}
	}
	return info, nil
}

// readPolicy is the second source of the eviction policy, for servers that leave
// it out of INFO or forbid that; it is empty when this is forbidden as well.
func readPolicy(ctx context.Context, client redis.UniversalClient) string {
	values, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		return ""
	}
	return values["maxmemory-policy"]
}

// isRefusal says that the server answered, with a refusal of this command.
func isRefusal(err error) bool {
	return forbidden(err) || redis.HasErrorPrefix(err, "unknown command") || redis.HasErrorPrefix(err, "unknown subcommand") ||
		redis.HasErrorPrefix(err, "READONLY")
}

// forbidden says that an ACL does not let us do this.
func forbidden(err error) bool { return redis.HasErrorPrefix(err, "NOPERM") }

// atLeast is true as well of what is no number: an unknown version is not old.
func atLeast(major string, least int) bool {
	n, err := strconv.Atoi(major)
	return err != nil || n >= least
}
