package openbao

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

func TestPutMetadata(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	folder := s.folder(t)
	path := folder + "/metadata"
	const life = 3*time.Hour + 25*time.Minute + 19*time.Second

	// A secret that is metadata alone: listed, without a version, and not there for those who read values.
	must(t, "put", kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{
		CASRequired: true, MaxVersions: 5, DeleteVersionAfter: life, CustomMetadata: object{"owner": "billing", "é": "ü"},
	}))
	bare := s.metadata(t, mount, path)
	same(t, "cas_required", bare.CASRequired, true)
	same(t, "max_versions", bare.MaxVersions, 5)
	same(t, "delete_version_after", bare.DeleteVersionAfter, life)
	same(t, "custom_metadata", bare.CustomMetadata, object{"owner": "billing", "é": "ü"})
	same(t, "current_version", bare.CurrentVersion, 0)
	same(t, "oldest_version", bare.OldestVersion, 0)
	same(t, "versions", len(bare.Versions), 0)
	isRecent(t, "created_time", bare.CreatedTime)
	isRecent(t, "updated_time", bare.UpdatedTime)
	raw := s.read(t, mount+"/metadata/"+path).Data
	same(t, "its duration as Go writes it", raw["delete_version_after"], any("3h25m19s"))
	for _, key := range []string{
		"versions", "current_version", "oldest_version", "created_time", "updated_time", "max_versions", "cas_required",
		"delete_version_after", "custom_metadata", "metadata_cas_required", "current_metadata_version",
	} {
		_, there := raw[key]
		holds(t, key+" is there", there)
	}
	_, err := kv.Get(s.ctx, path)
	isMissing(t, "get of metadata alone", err)
	_, err = kv.GetVersion(s.ctx, path, 1)
	isMissing(t, "version 1 of metadata alone", err)
	list, err := kv.List(s.ctx, folder)
	must(t, "list", err)
	holds(t, "listed", list != nil && slices.Equal(list.Keys, []string{"metadata"}))

	_, err = kv.Put(s.ctx, path, object{"k": "v"})
	fails(t, "write without the demanded cas", err, 400, casRequired)
	made := s.put(t, mount, path, object{"k": "v"}, api.WithCheckAndSet(0))
	same(t, "first version", made.VersionMetadata.Version, 1)
	same(t, "custom_metadata of the write", made.CustomMetadata, object{"owner": "billing", "é": "ü"})
	same(t, "deletion_time", made.VersionMetadata.DeletionTime, made.VersionMetadata.CreatedTime.Add(life))
	same(t, "custom_metadata of the read", s.get(t, mount, path).CustomMetadata, object{"owner": "billing", "é": "ü"})

	// This client sends all four, zero or not. The secret's own time is that of its versions.
	before := s.metadata(t, mount, path)
	same(t, "created_time stays at the first write", before.CreatedTime, bare.CreatedTime)
	must(t, "reset", kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{}))
	reset := s.metadata(t, mount, path)
	same(t, "cas_required", reset.CASRequired, false)
	same(t, "max_versions", reset.MaxVersions, 0)
	same(t, "delete_version_after", reset.DeleteVersionAfter, time.Duration(0))
	same(t, "custom_metadata is null", s.read(t, mount+"/metadata/"+path).Data["custom_metadata"], nil)
	same(t, "its versions stay", reset.Versions, before.Versions)
	same(t, "updated_time stays", reset.UpdatedTime, before.UpdatedTime)
	s.put(t, mount, path, object{"k": "w"})
	holds(t, "updated_time goes with a version", s.metadata(t, mount, path).UpdatedTime.After(before.UpdatedTime))
}

func TestPutSomeMetadata(t *testing.T) {
	s := connect(t)
	path := s.folder(t) + "/some"
	write := func(fields object) error {
		_, err := s.Logical().WriteWithContext(s.ctx, mount+"/metadata/"+path, fields)
		return err
	}
	must(t, "nothing", write(object{}))
	_, err := s.KVv2(mount).GetMetadata(s.ctx, path)
	isMissing(t, "no field, no secret", err)

	must(t, "one", write(object{"max_versions": "0x10"}))
	must(t, "another", write(object{"custom_metadata": object{"n": 1, "yes": true}}))
	must(t, "a third", write(object{"delete_version_after": "1d"}))
	got := s.metadata(t, mount, path)
	same(t, "weakly typed number", got.MaxVersions, 16)
	same(t, "days", got.DeleteVersionAfter, 24*time.Hour)
	same(t, "values become text", got.CustomMetadata, object{"n": "1", "yes": "1"})
	must(t, "a new map", write(object{"custom_metadata": object{"m": "2"}}))
	same(t, "the map is replaced whole", s.metadata(t, mount, path).CustomMetadata, object{"m": "2"})
	same(t, "the rest stays", s.metadata(t, mount, path).MaxVersions, 16)

	failsWith(t, "a negative duration", write(object{"delete_version_after": "-1h"}), 400,
		`Field validation failed: error converting input for field "delete_version_after"`)
	failsWith(t, "no number", write(object{"max_versions": "many"}), 400,
		`Field validation failed: error converting input for field "max_versions"`)
	failsWith(t, "no bool", write(object{"cas_required": "yes"}), 400,
		`Field validation failed: error converting input for field "cas_required"`)
	same(t, "refused writes change nothing", s.metadata(t, mount, path).MaxVersions, 16)
}

func TestCustomMetadataLimits(t *testing.T) {
	s := connect(t)
	path := s.folder(t) + "/custom"
	put := func(custom object) error {
		return s.KVv2(mount).PutMetadata(s.ctx, path, api.KVMetadataPutInput{CustomMetadata: custom})
	}
	many := object{}
	for n := range 64 {
		many[fmt.Sprintf("key-%02d", n)] = "v"
	}
	must(t, "64 entries", put(many))
	same(t, "64 entries", len(s.metadata(t, mount, path).CustomMetadata), 64)
	// What counts is what a patch leads to, not how much it brings.
	fails(t, "a patch to 65", s.KVv2(mount).PatchMetadata(s.ctx, path, api.KVMetadataPatchInput{CustomMetadata: object{"more": "v"}}), 400)
	must(t, "a patch at 64", s.KVv2(mount).PatchMetadata(s.ctx, path, api.KVMetadataPatchInput{CustomMetadata: object{"key-00": nil, "more": "v"}}))
	many["more"] = "v"
	failsWith(t, "65 entries", put(many), 400, "payload must contain at most 64 keys, provided 65")
	must(t, "the longest", put(object{strings.Repeat("k", 128): strings.Repeat("v", 512)}))

	// All faults are told at once.
	long := strings.Repeat("k", 129)
	err := put(object{"": "v", long: "v", "empty": "", "big": strings.Repeat("v", 513), "a\tb": "v", "tab": "a\tb"})
	answer := fails(t, "six faults", err, 400)
	text := strings.Join(answer.Errors, "\n")
	for _, part := range []string{
		"6 errors occurred", "custom_metadata validation failed: ",
		`length of key "" is 0 but must be 0 < len(key) <= 128`,
		fmt.Sprintf(`length of key %q is 129 but must be 0 < len(key) <= 128`, long),
		`length of value for key "empty" is 0 but must be 0 < len(value) <= 512`,
		`length of value for key "big" is 513 but must be 0 < len(value) <= 512`,
		`contains unprintable characters`,
		`value for key "tab" contains unprintable characters`,
	} {
		holds(t, fmt.Sprintf("%q tells %q", text, part), strings.Contains(text, part))
	}
	failsWith(t, "an object as value", put(object{"deep": object{"k": "v"}}), 400, "got unconvertible type")
	same(t, "refused writes change nothing", len(s.metadata(t, mount, path).CustomMetadata), 1)
}

func TestPatchMetadata(t *testing.T) {
	s := connect(t)
	kv := s.KVv2(mount)
	folder := s.folder(t)
	path := folder + "/patched"
	patch := func(what string, change api.KVMetadataPatchInput) *api.KVMetadata {
		t.Helper()
		must(t, what, kv.PatchMetadata(s.ctx, path, change))
		return s.metadata(t, mount, path)
	}
	s.put(t, mount, path, object{"k": "v"})
	must(t, "put", kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{
		MaxVersions: 5, DeleteVersionAfter: time.Hour, CustomMetadata: object{"a": "1", "b": "2"},
	}))
	before := s.metadata(t, mount, path)

	got := patch("one field", api.KVMetadataPatchInput{CASRequired: ptr(true)})
	same(t, "cas_required", got.CASRequired, true)
	same(t, "max_versions stays", got.MaxVersions, 5)
	same(t, "delete_version_after stays", got.DeleteVersionAfter, time.Hour)
	same(t, "custom_metadata stays", got.CustomMetadata, object{"a": "1", "b": "2"})
	got = patch("a map", api.KVMetadataPatchInput{CustomMetadata: object{"b": nil, "c": "3"}})
	same(t, "it is merged", got.CustomMetadata, object{"a": "1", "c": "3"})
	got = patch("zeros", api.KVMetadataPatchInput{CASRequired: ptr(false), MaxVersions: ptr(0), DeleteVersionAfter: ptr(time.Duration(0))})
	same(t, "cas_required is false again", got.CASRequired, false)
	same(t, "max_versions is 0", got.MaxVersions, 0)
	same(t, "delete_version_after is 0s", got.DeleteVersionAfter, time.Duration(0))
	got = patch("an empty map, which this client sends as null", api.KVMetadataPatchInput{CustomMetadata: object{}})
	same(t, "custom_metadata is gone", len(got.CustomMetadata), 0)
	same(t, "no version was made", got.CurrentVersion, 1)
	same(t, "updated_time stays", got.UpdatedTime, before.UpdatedTime)

	_, err := s.Logical().JSONMergePatch(s.ctx, mount+"/metadata/"+path, object{"current_version": 7, "created_time": "2001-01-01T00:00:00Z"})
	must(t, "what the server alone sets", err)
	same(t, "it is ignored", s.metadata(t, mount, path).CurrentVersion, 1)
	fails(t, "patch of nothing", kv.PatchMetadata(s.ctx, folder+"/nothing", api.KVMetadataPatchInput{MaxVersions: ptr(2)}), 404)
	must(t, "patch of nothing with nothing", kv.PatchMetadata(s.ctx, folder+"/nothing", api.KVMetadataPatchInput{}))
	_, err = kv.GetMetadata(s.ctx, folder+"/nothing")
	isMissing(t, "they make nothing", err)
	_, err = s.Logical().JSONMergePatch(s.ctx, mount+"/metadata/"+path, object{"max_versions": []any{}})
	failsWith(t, "no number", err, 400, `Field validation failed: error converting input for field "max_versions"`)
}

// OpenBao's check-and-set for metadata, with a counter of its own.
func TestMetadataCheckAndSet(t *testing.T) {
	s := connect(t)
	folder := s.folder(t)
	write := func(name string, fields object) error {
		_, err := s.Logical().WriteWithContext(s.ctx, mount+"/metadata/"+folder+name, fields)
		return err
	}
	counter := func(name, want string) {
		t.Helper()
		isNumber(t, "current_metadata_version", s.read(t, mount+"/metadata/"+folder+name).Data["current_metadata_version"], want)
	}
	fails(t, "create with 1", write("/a", object{"max_versions": 3, "metadata_cas": 1}), 400,
		"metadata_cas must be 0 when creating new metadata")
	must(t, "create with 0", write("/a", object{"metadata_cas_required": true, "metadata_cas": 0}))
	counter("/a", "1")
	fails(t, "without the demanded one", write("/a", object{"max_versions": 3}), 400,
		"metadata check-and-set parameter required for this call")
	fails(t, "with a wrong one", write("/a", object{"max_versions": 3, "metadata_cas": 7}), 400,
		"metadata check-and-set parameter does not match the current version")
	must(t, "with the right one", write("/a", object{"max_versions": 3, "metadata_cas": 1}))
	counter("/a", "2")
	s.put(t, mount, folder+"/a", object{"k": "v"})
	counter("/a", "2")
	s.put(t, mount, folder+"/b", object{"k": "v"})
	counter("/b", "0")
	must(t, "no demand", write("/b", object{"max_versions": 3}))
	counter("/b", "1")
	must(t, "patch", s.KVv2(mount).PatchMetadata(s.ctx, folder+"/b", api.KVMetadataPatchInput{MaxVersions: ptr(4)}))
	counter("/b", "2")
}

// How many versions are kept: what the secret says, else the mount, else ten.
func TestPruning(t *testing.T) {
	s := connect(t)
	own := s.freshMount(t)
	kv := s.KVv2(own)
	write := func(path string, n int) {
		t.Helper()
		same(t, path+": version", s.put(t, own, path, object{"n": n}).VersionMetadata.Version, n)
	}
	oldest := func(path string, want int) {
		t.Helper()
		same(t, path+": oldest_version", s.metadata(t, own, path).OldestVersion, want)
	}
	for n := 1; n <= 11; n++ {
		write("ten", n)
		oldest("ten", max(0, n-9))
	}
	_, err := kv.GetVersion(s.ctx, "ten", 1)
	isMissing(t, "the eleventh pushes out the first", err)

	// A lower limit shows at the next write.
	must(t, "lower", kv.PutMetadata(s.ctx, "ten", api.KVMetadataPutInput{MaxVersions: 2}))
	oldest("ten", 2)
	_, err = kv.Patch(s.ctx, "ten", object{"n": 12})
	must(t, "patch", err)
	oldest("ten", 11)
	same(t, "versions left", keysOf(s.metadata(t, own, "ten").Versions), []string{"11", "12"})

	s.configure(t, own, object{"max_versions": 3})
	for n := 1; n <= 4; n++ {
		write("mount", n)
	}
	oldest("mount", 2)
	for path, limit := range map[string]int{"more": 4, "fewer": 1} {
		must(t, path, kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{MaxVersions: limit}))
		for n := 1; n <= 5; n++ {
			write(path, n)
		}
		oldest(path, 6-limit)
	}
	// Deleted and destroyed versions count.
	must(t, "delete", kv.DeleteVersions(s.ctx, "mount", []int{2}))
	must(t, "destroy", kv.Destroy(s.ctx, "mount", []int{3}))
	write("mount", 5)
	same(t, "versions left", keysOf(s.metadata(t, own, "mount").Versions), []string{"3", "4", "5"})
}

func TestMountConfig(t *testing.T) {
	s := connect(t)
	own := s.freshMount(t)
	kv := s.KVv2(own)
	is := func(what, maxVersions string, casRequired bool, deleteVersionAfter string) {
		t.Helper()
		got := s.read(t, own+"/config").Data
		isNumber(t, what+": max_versions", got["max_versions"], maxVersions)
		same(t, what+": cas_required", got["cas_required"], any(casRequired))
		same(t, what+": delete_version_after", got["delete_version_after"], any(deleteVersionAfter))
	}
	is("fresh", "0", false, "0s")
	domain := s.read(t, mount+"/config").Data
	s.configure(t, own, object{"max_versions": 4, "cas_required": true, "delete_version_after": "5m"})
	is("all three", "4", true, "5m0s")
	s.configure(t, own, object{"delete_version_after": 7200})
	is("one of them", "4", true, "2h0m0s")
	s.configure(t, own, object{})
	is("none of them", "4", true, "2h0m0s")
	same(t, "the domain's own are untouched", s.read(t, mount+"/config").Data, domain)

	// The mount's demand holds for every secret in it, whatever that says itself: which the answer warns of.
	_, err := kv.Put(s.ctx, "cas", object{"k": "v"})
	fails(t, "write without the mount's cas", err, 400, casRequired)
	s.put(t, own, "cas", object{"k": "v"}, api.WithCheckAndSet(0))
	warned, err := s.Logical().WriteWithContext(s.ctx, own+"/metadata/cas", object{"cas_required": false})
	must(t, "cas_required false", err)
	if warned == nil {
		t.Error("cas_required false under a mount that demands it: no warning")
	} else {
		same(t, "warning", warned.Warnings,
			[]string{`"cas_required" set to false, but is mandated by backend config. This value will be ignored.`})
	}
	s.configure(t, own, object{"cas_required": false})

	// Of two lives the shorter counts; a negative one of the mount says that there is none.
	for path, life := range map[string]time.Duration{"shorter": time.Hour, "longer": 3 * time.Hour, "own": 0} {
		must(t, path, kv.PutMetadata(s.ctx, path, api.KVMetadataPutInput{DeleteVersionAfter: life}))
		made := s.put(t, own, path, object{"k": "v"}).VersionMetadata
		want := map[string]time.Duration{"shorter": time.Hour, "longer": 2 * time.Hour, "own": 2 * time.Hour}[path]
		same(t, path+": life", made.DeletionTime.Sub(made.CreatedTime), want)
	}
	s.configure(t, own, object{"delete_version_after": "-1h"})
	is("never", "4", false, "-1s")
	holds(t, "no deletion_time then", s.put(t, own, "shorter", object{"k": "v"}).VersionMetadata.DeletionTime.IsZero())

	_, err = s.Logical().DeleteWithContext(s.ctx, own+"/config")
	fails(t, "delete the config", err, 405, "1 error occurred:\n\t* unsupported operation\n\n")
	_, err = s.Logical().WriteWithContext(s.ctx, own+"/config", object{"max_versions": -1})
	fails(t, "a negative number of versions", err, 400)
	_, err = s.Logical().WriteWithContext(s.ctx, own+"/config", object{"delete_version_after": "soon"})
	failsWith(t, "no duration", err, 400, `Field validation failed: error converting input for field "delete_version_after"`)
}

// The mount `secret` shows the domain's own settings. Not in parallel with anything: they bear on every secret.
func TestDomainConfig(t *testing.T) {
	s := connect(t)
	before := s.read(t, mount+"/config").Data
	t.Cleanup(func() {
		_, err := s.Logical().WriteWithContext(s.ctx, mount+"/config", before)
		must(t, "restore the config", err)
		same(t, "restored", s.read(t, mount+"/config").Data, before)
	})
	s.configure(t, mount, object{"cas_required": true, "max_versions": 7})
	for _, name := range []string{mount, "ibmcloud/kv"} {
		got := s.read(t, name+"/config").Data
		same(t, name+": cas_required", got["cas_required"], any(true))
		isNumber(t, name+": max_versions", got["max_versions"], "7")
	}
	own := s.freshMount(t)
	_, err := s.KVv2(own).Put(s.ctx, "cas", object{"k": "v"})
	fails(t, "the domain's demand holds in every mount", err, 400, casRequired)
	same(t, "though its own setting says no", s.read(t, own+"/config").Data["cas_required"], any(false))
}
