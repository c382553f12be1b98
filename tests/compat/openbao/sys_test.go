package openbao

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

// What is open to everybody, with a certificate and without.
func TestState(t *testing.T) {
	for who, s := range map[string]server{"us": connect(t), "nobody": connectAs(t, identity{})} {
		health, err := s.Sys().HealthWithContext(s.ctx)
		must(t, who+": health", err)
		holds(t, who+": health", health.Initialized && !health.Sealed && !health.Standby && !health.PerformanceStandby)
		holds(t, who+": version and cluster", health.Version != "" && health.ClusterName != "" && health.ClusterID != "")
		holds(t, who+": server_time_utc", time.Since(time.Unix(health.ServerTimeUTC, 0)).Abs() < time.Minute)
		response, _ := s.raw(t, "sys/health", map[string][]string{"activecode": {"299"}})
		same(t, who+": activecode", response.StatusCode, 299)
		_, err = s.Logical().ReadRawWithDataWithContext(s.ctx, "sys/health", map[string][]string{"activecode": {"fine"}})
		fails(t, who+": activecode=fine", err, 400)

		seal, err := s.Sys().SealStatusWithContext(s.ctx)
		must(t, who+": seal-status", err)
		holds(t, who+": seal-status", seal.Initialized && !seal.Sealed && seal.Type != "" && seal.Version == health.Version)
		leader, err := s.Sys().LeaderWithContext(s.ctx)
		must(t, who+": leader", err)
		same(t, who+": ha_enabled", leader.HAEnabled, false)
		initialized, err := s.Sys().InitStatusWithContext(s.ctx)
		must(t, who+": init", err)
		same(t, who+": initialized", initialized, true)
	}
}

func TestMounts(t *testing.T) {
	s := connect(t)
	sys := s.Sys()
	path := "openbao-" + salt()
	var uuid string
	for n, input := range []api.MountInput{
		{Type: "kv-v2", Description: "ours"},
		{Type: "kv", Description: "ours", Options: map[string]string{"version": "2"}},
	} {
		must(t, "mount", sys.MountWithContext(s.ctx, path, &input))
		listed, err := sys.ListMountsWithContext(s.ctx)
		must(t, "list", err)
		holds(t, "secret/ is listed", listed["secret/"] != nil)
		holds(t, "its second name is not", listed["ibmcloud/kv/"] == nil)
		made := listed[path+"/"]
		if made == nil {
			t.Fatalf("%s/ is not among %v", path, keysOf(listed))
		}
		same(t, "type", made.Type, "kv")
		same(t, "options", made.Options, map[string]string{"version": "2"})
		same(t, "description", made.Description, "ours")
		holds(t, "uuid and accessor", made.UUID != "" && made.Accessor != "" && made.UUID != uuid)
		uuid = made.UUID
		one, err := sys.MountInfoWithContext(s.ctx, path)
		must(t, "mount info", err)
		same(t, "the same as in the list", one, made)
		config, err := sys.MountConfigWithContext(s.ctx, path)
		must(t, "mount config", err)
		holds(t, "lease times and cache", config.DefaultLeaseTTL >= 0 && config.MaxLeaseTTL >= config.DefaultLeaseTTL && !config.ForceNoCache)

		for _, taken := range []string{path, path + "/below"} {
			fails(t, "mount "+taken, sys.MountWithContext(s.ctx, taken, &api.MountInput{Type: "kv-v2"}), 400,
				"path is already in use at "+path+"/")
		}
		if n == 0 {
			must(t, "unmount", sys.UnmountWithContext(s.ctx, path))
			listed, err = sys.ListMountsWithContext(s.ctx)
			must(t, "list", err)
			holds(t, "it is gone", listed[path+"/"] == nil)
			_, err = s.Logical().ReadRawWithContext(s.ctx, path+"/config")
			fails(t, "its config is gone", err, 404, `no handler for route "`+path+`/config". route entry not found.`)
		}
	}

	must(t, "tune the version to what it is", sys.TuneMountWithContext(s.ctx, path, api.MountConfigInput{Options: map[string]string{"version": "2"}}))
	fails(t, "tune the version down", sys.TuneMountWithContext(s.ctx, path, api.MountConfigInput{Options: map[string]string{"version": "1"}}),
		400, "cannot downgrade mount from version 2")
	must(t, "tune the description", sys.TuneMountWithContext(s.ctx, path, api.MountConfigInput{Description: ptr("theirs")}))
	one, err := sys.MountInfoWithContext(s.ctx, path)
	must(t, "mount info", err)
	same(t, "description", one.Description, "theirs")

	// The mount is a view: its secrets are the domain's, by a shorter name.
	s.put(t, path, "deep/name", object{"k": "v"})
	same(t, "seen through secret/", s.get(t, mount, path+"/deep/name").Data, object{"k": "v"})
	s.put(t, mount, path+"/deep/name", object{"k": "w"}, api.WithCheckAndSet(1))
	same(t, "and the other way", s.get(t, path, "deep/name").Data, object{"k": "w"})
	must(t, "unmount what holds secrets", sys.UnmountWithContext(s.ctx, path))
	must(t, "mount again", sys.MountWithContext(s.ctx, path, &api.MountInput{Type: "kv-v2"}))
	must(t, "undelete", s.KVv2(path).Undelete(s.ctx, "deep/name", []int{2}))
	same(t, "none is lost", s.get(t, path, "deep/name").Data, object{"k": "w"})
	_, err = s.Logical().DeleteWithDataWithContext(s.ctx, "sys/mounts/"+path, map[string][]string{"force": {"true"}})
	must(t, "unmount by force", err)
	_, err = s.KVv2(mount).GetMetadata(s.ctx, path+"/deep/name")
	isMissing(t, "its secrets are gone", err)
}

func TestMountsThatCannotBe(t *testing.T) {
	s := connect(t)
	mountAt := func(path string, input api.MountInput) error { return s.Sys().MountWithContext(s.ctx, path, &input) }
	fresh := "openbao-" + salt()
	for _, kind := range []string{"kv", "kv-v1", "database", "transit", "pki", ""} {
		answer := fails(t, "an engine of type "+kind, mountAt(fresh, api.MountInput{Type: kind}), 400)
		holds(t, "an engine of type "+kind+": a sentence", len(answer.Errors) == 1 && strings.Contains(answer.Errors[0], " "))
	}
	for _, path := range []string{
		"sys/" + fresh, "auth/" + fresh, "api/" + fresh, "cubbyhole/" + fresh, "identity/" + fresh, "secrets/" + fresh,
		"partner/" + fresh, "t/" + fresh, "database/" + fresh, fresh + "/data", fresh + "/metadata/x", fresh + "/config",
	} {
		fails(t, "mount "+path, mountAt(path, api.MountInput{Type: "kv-v2"}), 400)
	}
	fails(t, "mount secret", mountAt("secret", api.MountInput{Type: "kv-v2"}), 400, "path is already in use at secret/")
	fails(t, "unmount secret", s.Sys().UnmountWithContext(s.ctx, "secret"), 400)
	_, err := s.Logical().DeleteWithDataWithContext(s.ctx, "sys/mounts/secret", map[string][]string{"force": {"true"}})
	fails(t, "unmount secret by force", err, 400)
	must(t, "secret is still there", s.works())
	listed, err := s.Sys().ListMountsWithContext(s.ctx)
	must(t, "list", err)
	for path := range listed {
		holds(t, "no mount was made at "+path, !strings.Contains(path, fresh))
	}
}

// What the CLI asks before every kv command.
func TestPreflight(t *testing.T) {
	s := connect(t)
	own := s.freshMount(t)
	for path, want := range map[string]string{
		"secret": "secret/", "secret/foo/bar": "secret/", "secret/" + own: "secret/", own: own + "/", own + "/foo/bar": own + "/",
	} {
		data := s.read(t, "sys/internal/ui/mounts/"+path).Data
		same(t, path+": path", data["path"], any(want))
		same(t, path+": options", data["options"], any(object{"version": "2"}))
		same(t, path+": type", data["type"], any("kv"))
	}
	path := "nothing-" + salt()
	_, err := s.Logical().ReadWithContext(s.ctx, "sys/internal/ui/mounts/"+path+"/foo")
	fails(t, "no mount", err, 403,
		`preflight capability check returned 403, please ensure client's policies grant access to path "`+path+`/foo/"`)
	data := s.read(t, "sys/internal/ui/mounts").Data
	mounts := keysOf(at(t, "mounts", data, "secret"))
	holds(t, "mounts for a UI", slices.Contains(mounts, "secret/") && slices.Contains(mounts, own+"/"))
	at(t, "mounts", data, "auth")
}

func TestCapabilities(t *testing.T) {
	s := connect(t)
	own := s.freshMount(t)
	for who, by := range map[string]server{"the certificate": s, "a token": s.holding(t, s.login(t).ClientToken)} {
		for path, want := range map[string][]string{
			"secret/data/foo": {"create", "read", "update", "patch", "delete"}, "secret/metadata/foo": {"list", "read"},
			own + "/data/foo": {"create", "read", "update", "patch", "delete"},
		} {
			got, err := by.Sys().CapabilitiesSelfWithContext(s.ctx, path)
			must(t, who+": capabilities on "+path, err)
			for _, capability := range want {
				holds(t, who+": "+path+": "+capability, slices.Contains(got, capability) || slices.Contains(got, "root"))
			}
		}
	}
}

func TestAuthMethods(t *testing.T) {
	s := connect(t)
	methods, err := s.Sys().ListAuthWithContext(s.ctx)
	must(t, "list", err)
	for path, kind := range map[string]string{"cert/": "cert", "token/": "token"} {
		method := methods[path]
		if method == nil {
			t.Fatalf("%s is not among %v", path, keysOf(methods))
		}
		same(t, path+": type", method.Type, kind)
		holds(t, path+": uuid and accessor", method.UUID != "" && method.Accessor != "")
	}
}

func TestPolicies(t *testing.T) {
	s := connect(t)
	name, text := "openbao-"+salt(), `path "secret/data/+/only" { capabilities = ["read"] }`
	must(t, "put", s.Sys().PutPolicyWithContext(s.ctx, name, text))
	found, err := s.Sys().GetPolicyWithContext(s.ctx, name)
	must(t, "get", err)
	same(t, "get", found, text)
	names, err := s.Sys().ListPoliciesWithContext(s.ctx)
	must(t, "list", err)
	holds(t, "list", slices.Contains(names, name) && slices.Contains(names, "default") && slices.Contains(names, "root"))
	auth := s.create(t, api.TokenCreateRequest{Policies: []string{name}})
	narrow := s.holding(t, auth.ClientToken)
	told, err := narrow.Sys().CapabilitiesSelfWithContext(s.ctx, "secret/data/x/only")
	must(t, "capabilities", err)
	same(t, "capabilities", told, []string{"read"})
	_, err = narrow.Logical().WriteWithContext(s.ctx, "secret/data/x/only", object{"data": object{}})
	fails(t, "beyond the policy", err, 403)
	fails(t, "no policy", s.Sys().PutPolicyWithContext(s.ctx, name, "path"), 400,
		"failed to parse policy: line 1: the text ends within a block or after a key")
	must(t, "delete", s.Sys().DeletePolicyWithContext(s.ctx, name))
	found, err = s.Sys().GetPolicyWithContext(s.ctx, name)
	must(t, "get nothing", err)
	same(t, "get nothing", found, "")
}

// Audit devices are operators' business.
func TestAuditDevicesOfOthers(t *testing.T) {
	s := connect(t)
	_, listed := s.Sys().ListAuditWithContext(s.ctx)
	options := &api.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": "vault.log"}}
	_, hashed := s.Sys().AuditHashWithContext(s.ctx, "file", "a/b")
	for what, err := range map[string]error{
		"listing":   listed,
		"enabling":  s.Sys().EnableAuditWithOptionsWithContext(s.ctx, "file", options),
		"disabling": s.Sys().DisableAuditWithContext(s.ctx, "file"),
		"hashing":   hashed,
	} {
		answer := fails(t, what, err, 403)
		holds(t, what+": a sentence", len(answer.Errors) == 1 && strings.Contains(answer.Errors[0], " "))
	}
}

// What there is not is refused with a sentence, and not with a 404 that a client takes for "nothing there".
func TestLater(t *testing.T) {
	s := connect(t)
	write := func(path string, body object) error {
		_, err := s.Logical().WriteWithContext(s.ctx, path, body)
		return err
	}
	for what, err := range map[string]error{
		"ldap":        write("auth/ldap/login/u", object{"password": "p"}),
		"a cert role": write("auth/cert/certs/web", object{"certificate": ""}),
		"database":    write("database/config/x", object{"plugin_name": "p"}),
		"sealing":     s.Sys().SealWithContext(s.ctx),
	} {
		answer := fails(t, what, err, 400)
		holds(t, what+": a sentence", len(answer.Errors) == 1 && strings.Contains(answer.Errors[0], " "))
	}
}
