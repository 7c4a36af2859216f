package main

import (
	"github.com/spf13/cobra"

	"alipay-notify/docs"
)

func cheatCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cheat",
		Short: "Print recipes, on one screen",
		Long:  "Print the recipes that are needed most: the part \"On one screen\" of docs/RUNBOOK.md. It asks nobody, and needs no configuration.",
		Example: `  replayer cheat
  replayer cheat | grep dlq`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return writeAll(cmd.OutOrStdout(), []byte(docs.CheatSheet()))
		},
	}
}
