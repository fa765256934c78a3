/* The functions that org.penjing.digits.Digits declares as native. */
#include "digits.h"

#include <jni.h>

#define NAME(function) Java_org_penjing_digits_Digits_##function

static penjing_session *session_of(jlong handle)
{
    return (penjing_session *)(intptr_t)handle;
}

static void throw_state(JNIEnv *env, const char *message)
{
    jclass type = (*env)->FindClass(env, "java/lang/IllegalStateException");
    if (type != NULL)
        (*env)->ThrowNew(env, type, message);
}

JNIEXPORT jlong JNICALL NAME(create)(JNIEnv *env, jclass type, jstring cache)
{
    (void)type;
    penjing_session *session;
    penjing_config config = {.size = sizeof config, .tune_milliseconds = 300};
    config.cache_folder = (*env)->GetStringUTFChars(env, cache, NULL);
    if (config.cache_folder == NULL)
        return 0;
    int status = digits_create(&config, &session);
    (*env)->ReleaseStringUTFChars(env, cache, config.cache_folder);
    if (status == PENJING_OK)
        return (jlong)(intptr_t)session;
    throw_state(env, digits_message(NULL));
    return 0;
}

JNIEXPORT void JNICALL NAME(destroy)(JNIEnv *env, jclass type, jlong handle)
{
    (void)env, (void)type;
    digits_destroy(session_of(handle));
}

/* Where the model runs and, if that is the CPU, why. */
JNIEXPORT jstring JNICALL NAME(device)(JNIEnv *env, jclass type, jlong handle)
{
    (void)type;
    const penjing_session *session = session_of(handle);
    int on_device = digits_on_device(session);
    return (*env)->NewStringUTF(env, on_device ? digits_device(session) : digits_message(session));
}

JNIEXPORT void JNICALL NAME(run)(JNIEnv *env, jclass type, jlong handle, jfloatArray image,
                                 jfloatArray probabilities)
{
    (void)type;
    /* Aligned to pages: GPUs that share the CPU's memory then read and write it in place. */
    static _Alignas(4096) float x[DIGITS_INPUT0_ELEMENTS], y[DIGITS_OUTPUT0_ELEMENTS];
    const void *inputs[] = {x};
    void *outputs[] = {y};
    (*env)->GetFloatArrayRegion(env, image, 0, DIGITS_INPUT0_ELEMENTS, x);
    if ((*env)->ExceptionCheck(env))
        return;
    if (digits_run(session_of(handle), inputs, outputs) != PENJING_OK)
        throw_state(env, digits_message(session_of(handle)));
    else
        (*env)->SetFloatArrayRegion(env, probabilities, 0, DIGITS_OUTPUT0_ELEMENTS, y);
}
