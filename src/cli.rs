//! The flags as typed. Parsing does no I/O, so `--help` and `--version` always work.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Mounts the DestinE Data Cache as local, read-only directories: Sentinel products by date and tile, climate
/// and ERA5 Zarr stores by name. Any program that opens a path can use them.
///
/// Begin with `dcmsfs demo`, which needs no account and no network. Then `dcmsfs login` once, and
/// `dcmsfs /mnt/destine`.
#[derive(Debug, Parser)]
#[command(name = "dcmsfs", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(override_usage = "dcmsfs [OPTIONS] MOUNTPOINT\n       dcmsfs COMMAND")]
#[command(disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Examples:\n  \
    dcmsfs demo                            try everything against a built-in stand-in\n  \
    dcmsfs login                           once: DestinE user name and password\n  \
    mkdir -p ~/destine && dcmsfs ~/destine\n  \
    ls ~/destine/cache-a/SENTINEL-2/by-date/2024/09/24\n  \
    dcmsfs warm 'cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/**/*_B04_10m.jp2'\n  \
    dcmsfs status                          what is mounted, who is logged in, what is being fetched\n  \
    dcmsfs unmount ~/destine")]
pub struct Cli {
    /// What to do other than mount.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The mount, when there is no command.
    #[command(flatten)]
    pub mount: MountArgs,
}

/// Options of a mount.
#[derive(Clone, Debug, Default, Args)]
pub struct MountArgs {
    /// An existing, empty directory
    #[arg(value_name = "MOUNTPOINT", required = true)]
    pub mountpoint: Option<PathBuf>,
    /// Stay in the foreground; log to the terminal
    #[arg(short, long)]
    pub foreground: bool,
    /// Let other users of this machine read, on your account and quota
    #[arg(long)]
    pub allow_other: bool,
    /// Root of the STAC API shown as cache-a
    #[arg(long, value_name = "URL")]
    pub cache_a_url: Option<String>,
    /// Base address of the Zarr stores shown as cache-b
    #[arg(long, value_name = "URL")]
    pub cache_b_url: Option<String>,
    /// Show only products of cache-a that touch this box, in degrees
    #[arg(long, value_name = "W:S:E:N", allow_hyphen_values = true)]
    pub bbox: Option<String>,
    /// Show only products of cache-a of this time: 2024, 2024-06, 2024-06-01..2024-08-31, 2024-06..
    #[arg(long, value_name = "TIME")]
    pub datetime: Option<String>,
    /// Show only products of cache-a with such a cloud cover in percent: '<20', where they tell it
    #[arg(long, value_name = "LIMIT")]
    pub cloud_cover: Option<String>,
    /// Mount even if a service does not answer now; it is asked again when something is read
    #[arg(long)]
    pub offline: bool,
    /// Mount over files that are there already; they are hidden meanwhile
    #[arg(long)]
    pub nonempty: bool,
    /// How much to log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", hide_possible_values = true)]
    #[arg(value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub log: Option<String>,
    /// Write the log to this file; in the background ~/.local/state/dcmsfs/dcmsfs.log if not given
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
    /// A mounted FUSE device that this process inherits (used by mount.dcmsfs)
    #[arg(long, value_name = "N", hide = true)]
    pub fuse_fd: Option<i32>,
}

/// Which settings to read.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigurationArgs {
    /// Read this file instead of /etc/dcmsfs/config.toml and ~/.config/dcmsfs/config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Everything but mounting.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Log in to DestinE; mounts that are running pick it up
    Login(LoginArgs),
    /// Forget the login
    Logout(LogoutArgs),
    /// Show what is mounted, who is logged in, and what is being fetched
    Status(StatusArgs),
    /// Fetch files into the cache on disk before they are needed; works with and without a mount
    Warm(WarmArgs),
    /// Unmount
    Unmount(UnmountArgs),
    /// Look at the cache on disk, check it, or clear it; mounts may go on meanwhile
    Cache(CacheArgs),
    /// Mount a built-in stand-in of the services: no account, no network
    Demo(DemoArgs),
}

/// Options of `login`.
#[derive(Clone, Debug, Args)]
pub struct LoginArgs {
    /// DestinE user name; asked for when missing. With --root the login name of the key
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Read the password from standard input
    #[arg(long, conflicts_with_all = ["password_fd", "browser"])]
    pub password_stdin: bool,
    /// Read the password from this file descriptor
    #[arg(long, value_name = "N", conflicts_with = "browser")]
    pub password_fd: Option<i32>,
    /// Sign in with a browser, for accounts without a password: open the address that is shown, sign in, paste the
    /// address that the browser ends at. The browser may run on another machine
    #[arg(long, conflicts_with = "keep_password")]
    pub browser: bool,
    /// Keep the key of this [[cache_b.root]] instead: it is asked for, or read as a password would be
    #[arg(long, value_name = "NAME", conflicts_with_all = ["browser", "netrc", "keep_password"])]
    pub root: Option<String>,
    /// Also write the Cache-B entry of ~/.netrc, for programs that read over HTTP
    #[arg(long)]
    pub netrc: bool,
    /// Keep the password in the credentials file (mode 0600), so that a mount can log in again by itself
    #[arg(long)]
    pub keep_password: bool,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `logout`.
#[derive(Clone, Debug, Args)]
pub struct LogoutArgs {
    /// Forget the key of this [[cache_b.root]] instead
    #[arg(long, value_name = "NAME")]
    pub root: Option<String>,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `status`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Only this mount; all of them when missing
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `warm`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Quote patterns, so that the shell does not list directories for them. Examples:\n  \
    dcmsfs warm 'cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE/**/*_B0[48]_10m.jp2'\n  \
    dcmsfs warm 'cache-a/SENTINEL-2/search/cloud<20,bbox=6:45:8:47,date=2024-06/**/*_TCI_60m.jp2'\n  \
    dcmsfs warm --dry-run 'cache-b/era5/STORE.zarr/t2m[0:48,:,:]'\n\n\
    What is in the cache already is not fetched again: after Ctrl-C or an error the same command goes on.")]
pub struct WarmArgs {
    /// What to fetch: paths as in the tree, with or without the directory of a mount before them. * ? [a-z] stand for
    /// parts of one name, ** for any directories. A directory means all files below it; `[0:48,:,:]` behind an array
    /// means the chunks of that part
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// Say what would be fetched, how many bytes that is and how long it takes, and fetch nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `unmount`.
#[derive(Clone, Debug, Args)]
pub struct UnmountArgs {
    /// Where it is mounted
    #[arg(value_name = "MOUNTPOINT", required = true)]
    pub mountpoint: PathBuf,
    /// Also when in use: files that are open keep working until they are closed
    #[arg(short, long)]
    pub lazy: bool,
}

/// Options of `cache`.
#[derive(Clone, Debug, Args)]
pub struct CacheArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What can be done with the cache on disk.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheAction {
    /// List what is stored, the last used first
    Ls(CacheLsArgs),
    /// Check every stored block; remove what is damaged. The exit status is 1 when something was
    Verify(CacheVerifyArgs),
    /// Remove all, or what is named
    Clear(CacheClearArgs),
}

/// Options of `cache ls`.
#[derive(Clone, Debug, Args)]
pub struct CacheLsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `cache verify`.
#[derive(Clone, Debug, Args)]
pub struct CacheVerifyArgs {
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `cache clear`.
#[derive(Clone, Debug, Args)]
pub struct CacheClearArgs {
    /// Only objects whose service and address contain this; all when missing
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Which settings to read.
    #[command(flatten)]
    pub configuration: ConfigurationArgs,
}

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Where to mount; a new directory under /tmp when missing
    #[arg(value_name = "MOUNTPOINT")]
    pub mountpoint: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mount_point_or_a_command() {
        let mount = Cli::try_parse_from(["dcmsfs", "-f", "--cache-a-url", "https://h/", "/mnt/x"]).unwrap();
        assert_eq!(mount.mount.mountpoint.as_deref(), Some(std::path::Path::new("/mnt/x")));
        let status = Cli::try_parse_from(["dcmsfs", "status", "--json"]).unwrap();
        assert!(matches!(status.command, Some(Command::Status(StatusArgs { json: true, .. }))));
        assert!(Cli::try_parse_from(["dcmsfs"]).is_err());
    }
}
