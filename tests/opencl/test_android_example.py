"""The Android example, as far as a machine without the SDK can tell: C and Java agree, it links."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler.library.elf import Elf
from penjing.compiler.toolchain import find_toolchain

EXAMPLE = Path(__file__).parents[2] / "examples" / "android"
SOURCES = EXAMPLE / "app" / "src" / "main"

# The part of jni.h that the example uses.
JNI = """
#include <stdint.h>
typedef int64_t jlong;
typedef float jfloat;
typedef int jint;
typedef unsigned char jboolean;
typedef void *jclass, *jstring, *jfloatArray;
#define JNIEXPORT __attribute__((visibility("default")))
#define JNICALL
struct functions;
typedef const struct functions *JNIEnv;
struct functions {
    jclass (*FindClass)(JNIEnv *, const char *);
    jint (*ThrowNew)(JNIEnv *, jclass, const char *);
    jstring (*NewStringUTF)(JNIEnv *, const char *);
    const char *(*GetStringUTFChars)(JNIEnv *, jstring, jboolean *);
    void (*ReleaseStringUTFChars)(JNIEnv *, jstring, const char *);
    void (*GetFloatArrayRegion)(JNIEnv *, jfloatArray, jint, jint, jfloat *);
    void (*SetFloatArrayRegion)(JNIEnv *, jfloatArray, jint, jint, const jfloat *);
    jboolean (*ExceptionCheck)(JNIEnv *);
};
"""


@pytest.mark.slow
def test_the_app_links_against_the_model(tmp_path: Path) -> None:
    """With a compiler for arm64; what is left undefined has to be in Android's libc and libdl."""
    done = subprocess.run(
        [sys.executable, EXAMPLE / "compile_model.py", "--output", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "jni.h").write_text(JNI)
    shutil.copy(SOURCES / "cpp" / "digits_jni.c", tmp_path)
    warnings = ("-Wall", "-Wextra", "-Werror", "-std=c11", "-fPIC", "-fvisibility=hidden")
    linking = ["-shared", "-Wl,-z,defs", "digits_jni.c", "libdigits.a", "-ldl", "-o", "jni.so"]
    linking += re.findall(r"-Wl,\S+\b", (SOURCES / "cpp" / "CMakeLists.txt").read_text())
    toolchain = find_toolchain(targets.get("adreno-7xx"))
    toolchain.run([*warnings, "-I.", *toolchain.compile_options, *linking], tmp_path)
    elf = Elf.open(tmp_path / "jni.so")
    java = (SOURCES / "java" / "org" / "penjing" / "digits" / "Digits.java").read_text()
    native = re.findall(r"native \w+ (\w+)\(", java)
    assert len(native) == 4
    assert elf.exported() == {f"Java_org_penjing_digits_Digits_{name}" for name in native}


def test_the_app_may_load_the_libraries_of_the_phone() -> None:
    manifest = (SOURCES / "AndroidManifest.xml").read_text()
    loader = EXAMPLE.parents[1] / "compiler" / "opencl_library" / "runtime" / "loader.c"
    for name in re.findall(r'uses-native-library android:name="(.*?)"', manifest):
        assert f'"{name}"' in loader.read_text()
    assert "libOpenCL.so" in manifest
