package main

import (
	"slices"

	"github.com/spf13/cobra"

	"alipay-notify/internal/cli"
)

// completionCommand prints what a shell loads to complete verbs, flags and their
// values: types, formats, causes, audited verbs.
func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	cmd := &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion for a shell",
		Long: `Print the completion for a shell: verbs, flags, and values of flags that have a
closed list of them (--type, --output, --why, --verb, ...).

The names of flags and values are those of the replayer that is completed: load it
again after an update.`,
		Example: `  replayer completion bash > /etc/bash_completion.d/replayer
  replayer completion zsh > "${fpath[1]}/_replayer"
  replayer completion fish > ~/.config/fish/completions/replayer.fish
  source <(replayer completion bash)                        # for this shell`,
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return cli.Usagef("replayer completion bash", "which shell: bash, zsh or fish?")
			}
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenBashCompletionV2(out, true)
		},
	}
	return cmd
}
