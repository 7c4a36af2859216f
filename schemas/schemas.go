// Package schemas holds the JSON Schemas (2020-12) of what the product stores:
// <entity.action>.v1.json describes the data of one kind of event, and
// audit.record.v1.json an entry of the audit trail. A kind's schema is named by
// the ce-dataschema of its events, which is the $id in the file; nothing fetches
// it, so a consumer takes the file from here. other.<message>.v1.json describes a
// message whose data is what came; its events name it only where it is true of them.
//
// asyncapi.v1.json describes every subject with its messages, headers and
// examples; it and docs/EVENTS.md are generated (gen).
//
// Schemas describe and do not guard: nothing verified is refused because of one.
// Within v1 they only ever admit more: released/ holds what was promised last, and
// the tests compare (docs/COMPATIBILITY.md).
package schemas

import "embed"

//go:generate go run ./gen

// FS has the schema files at its root.
//
//go:embed *.json
var FS embed.FS
